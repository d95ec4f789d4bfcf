//! Cuts lists into pages and writes their `Link` fields (facts/management-api.md 1.9).
//!
//! Three kinds, by what the first number of a cursor means: a row's id, a page's length, or a date. Clients
//! only echo cursors back, but read `results`: right for the way onwards; the way back is taken to have the rows
//! that a client came from.

use crate::domain::dsn::UrlPrefix;
use crate::domain::time::Timestamp;
use crate::http::page::{Cursor, Link, Page, PageError, link_value};
use crate::http::{Request, Response};
use crate::store::{DatePlace, Place};

use super::error::Result;

/// A page and the way to the ones beside it.
#[derive(Debug)]
pub(super) struct Paged<T> {
    pub(super) rows: Vec<T>,
    previous: Link,
    next: Link,
}

impl<T> Paged<T> {
    pub(super) fn map<U>(self, change: impl FnMut(T) -> U) -> Paged<U> {
        Paged {
            rows: self.rows.into_iter().map(change).collect(),
            previous: self.previous,
            next: self.next,
        }
    }

    /// The same page with all its rows made into something else at once.
    pub(super) fn replace<U>(
        self,
        change: impl FnOnce(Vec<T>) -> Result<Vec<U>>,
    ) -> Result<Paged<U>> {
        Ok(Paged {
            rows: change(self.rows)?,
            previous: self.previous,
            next: self.next,
        })
    }

    /// A page of a list by id with only the first so many of its rows, counted the way the list is walked. At least
    /// one stays, and one goes to the page beside it.
    pub(super) fn shortened(
        self,
        rows: usize,
        page: Page,
        id: impl Fn(&T) -> i64,
    ) -> Result<Paged<T>> {
        let per_page = u32::try_from(rows.max(1)).unwrap_or(page.per_page);
        let page = Page { per_page, ..page };
        by_id(page, id, |place, limit| {
            let limit = limit as usize;
            let mut rows = self.rows;
            match place {
                Place::First | Place::Below(_) => rows.truncate(limit),
                Place::Above(_) => drop(rows.drain(..rows.len().saturating_sub(limit))),
            }
            Ok(rows)
        })
    }

    /// The rows within something else, with the `Link` field.
    pub(super) fn answer_with<B: serde::Serialize>(
        self,
        prefix: &UrlPrefix,
        request: &Request,
        body: impl FnOnce(Vec<T>) -> B,
    ) -> Response {
        let link = self.link(prefix, request);
        Response::json(200, &body(self.rows)).with_header("Link", link)
    }

    fn link(&self, prefix: &UrlPrefix, request: &Request) -> String {
        link_value(
            prefix.as_str(),
            &request.path,
            &request.query,
            self.previous,
            self.next,
        )
    }

    /// The rows as a JSON array, with the `Link` field.
    pub(super) fn answer(&self, prefix: &UrlPrefix, request: &Request) -> Response
    where
        T: serde::Serialize,
    {
        Response::json(200, &self.rows).with_header("Link", self.link(prefix, request))
    }
}

/// A page of a list by id, newest first. A cursor names a row that is not on the page: the next one's the
/// last row above it, the previous one's the first row below.
///
/// `fetch` reads at most so many rows from a place on, always newest first.
pub(super) fn by_id<T>(
    page: Page,
    id: impl Fn(&T) -> i64,
    fetch: impl FnOnce(Place, u32) -> Result<Vec<T>>,
) -> Result<Paged<T>> {
    let place = match page.cursor {
        None => Place::First,
        Some(cursor) if cursor.is_prev => Place::Above(cursor.value),
        Some(cursor) => Place::Below(cursor.value),
    };
    // One more than shown, to know whether there is another page.
    let rows = fetch(place, page.per_page + 1)?;
    let beside_nothing = |cursor: Cursor| {
        let (below, above) = (
            cursor.value.saturating_sub(1),
            cursor.value.saturating_add(1),
        );
        ((below, 0), (above, 0))
    };
    Ok(beside_rows(page, rows, |row| (id(row), 0), beside_nothing))
}

/// A page of a list by date, newest first. A cursor names a row that is not on the page, as for [`by_id`]; its first
/// number is the row's date in milliseconds and its second the row's id, which tells rows of one date apart.
///
/// `row` gives a row's date and id; `fetch` reads at most so many rows from a place on, always newest first.
pub(super) fn by_date<T>(
    page: Page,
    row: impl Fn(&T) -> (Timestamp, i64),
    fetch: impl FnOnce(DatePlace, u32) -> Result<Vec<T>>,
) -> Result<Paged<T>> {
    let place = match page.cursor {
        None => DatePlace::First,
        Some(Cursor {
            value: millis,
            offset: id,
            is_prev,
        }) => match is_prev {
            true => DatePlace::Above { millis, id },
            false => DatePlace::Below { millis, id },
        },
    };
    let rows = fetch(place, page.per_page + 1)?;
    let name = |of: &T| {
        let (date, id) = row(of);
        (date.us().div_euclid(1000), id)
    };
    // No row has the id 0, so that the whole date is meant.
    let beside_nothing = |cursor: Cursor| ((cursor.value, 0), (cursor.value, 0));
    Ok(beside_rows(page, rows, name, beside_nothing))
}

/// A page of rows that lie next to a cursor's, of which there is one more than shown if there is another page. `name`
/// gives the two numbers of a row's cursor, and `beside_nothing` those for the ways back and on from an empty page, by
/// which the row that its own cursor named is found again.
fn beside_rows<T>(
    page: Page,
    mut rows: Vec<T>,
    name: impl Fn(&T) -> (i64, i64),
    beside_nothing: impl Fn(Cursor) -> ((i64, i64), (i64, i64)),
) -> Paged<T> {
    let per_page = page.per_page as usize;
    let has_more = rows.len() > per_page;
    let (newer, older) = match page.cursor {
        None => (false, has_more),
        Some(cursor) if cursor.is_prev => (has_more, true),
        Some(_) => (true, has_more),
    };
    if has_more && page.cursor.is_some_and(|cursor| cursor.is_prev) {
        rows.remove(0);
    } else {
        rows.truncate(per_page);
    }
    let (first, last) = match (rows.first(), rows.last(), page.cursor) {
        (Some(first), Some(last), _) => (name(first), name(last)),
        (_, _, Some(cursor)) => beside_nothing(cursor),
        (_, _, None) => ((0, 0), (0, 0)),
    };
    Paged {
        rows,
        previous: link(first.0, first.1, true, newer),
        next: link(last.0, last.1, false, older),
    }
}

/// A page of a list that is counted in pages. A cursor's first number is the length of a page and its second
/// the page's number.
///
/// `fetch` reads at most so many rows (the second number) after the first so many.
pub(super) fn by_offset<T>(
    page: Page,
    fetch: impl FnOnce(i64, i64) -> Result<Vec<T>>,
) -> Result<Paged<T>> {
    let per_page = i64::from(page.per_page);
    let (length, number) = page
        .cursor
        .map_or((per_page, 0), |cursor| (cursor.value, cursor.offset));
    let offset = length.checked_mul(number).ok_or(PageError::InvalidCursor)?;
    if offset < 0 {
        return Err(PageError::NegativeOffset.into());
    }
    let mut rows = fetch(offset, per_page + 1)?;
    let has_more = rows.len() > page.per_page as usize;
    rows.truncate(page.per_page as usize);
    Ok(Paged {
        rows,
        previous: link(per_page, number.saturating_sub(1), true, number > 0),
        next: link(per_page, number.saturating_add(1), false, has_more),
    })
}

fn link(value: i64, offset: i64, is_prev: bool, has_results: bool) -> Link {
    Link {
        cursor: Cursor {
            value,
            offset,
            is_prev,
        },
        has_results,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(cursor: Option<&str>, per_page: u32) -> Page {
        let cursor = cursor.map(|text| text.parse().unwrap());
        Page { cursor, per_page }
    }

    fn shown(paged: &Paged<i64>) -> (Vec<i64>, String, bool, String, bool) {
        (
            paged.rows.clone(),
            paged.previous.cursor.to_string(),
            paged.previous.has_results,
            paged.next.cursor.to_string(),
            paged.next.has_results,
        )
    }

    fn ids(cursor: Option<&str>) -> Paged<i64> {
        let fetch = |place, limit: u32| {
            let limit = limit as usize;
            let all = [9, 7, 5, 3, 1];
            Ok(match place {
                Place::First => all.into_iter().take(limit).collect(),
                Place::Below(id) => all.into_iter().filter(|n| *n < id).take(limit).collect(),
                Place::Above(id) => {
                    let mut rows: Vec<i64> = all
                        .into_iter()
                        .rev()
                        .filter(|n| *n > id)
                        .take(limit)
                        .collect();
                    rows.reverse();
                    rows
                }
            })
        };
        by_id(page(cursor, 2), |n| *n, fetch).unwrap()
    }

    #[test]
    fn a_list_by_id_is_walked_to_its_end_and_back() {
        let first = ids(None);
        assert_eq!(
            shown(&first),
            (vec![9, 7], "9:0:1".into(), false, "7:0:0".into(), true)
        );
        let second = ids(Some("7:0:0"));
        assert_eq!(
            shown(&second),
            (vec![5, 3], "5:0:1".into(), true, "3:0:0".into(), true)
        );
        let last = ids(Some("3:0:0"));
        assert_eq!(
            shown(&last),
            (vec![1], "1:0:1".into(), true, "1:0:0".into(), false)
        );
        assert_eq!(ids(Some("1:0:1")).rows, [5, 3]);
        let back = ids(Some("5:0:1"));
        assert_eq!(
            shown(&back),
            (vec![9, 7], "9:0:1".into(), false, "7:0:0".into(), true)
        );
    }

    #[test]
    fn a_shortened_page_leaves_the_rest_to_the_next() {
        let whole = |cursor: Option<&str>| {
            let paged = by_id(page(cursor, 3), |n| *n, |_, _| Ok(vec![9, 7, 5, 3])).unwrap();
            paged.shortened(2, page(cursor, 3), |n| *n).unwrap()
        };
        assert_eq!(
            shown(&whole(None)),
            (vec![9, 7], "9:0:1".into(), false, "7:0:0".into(), true)
        );
        assert_eq!(
            shown(&whole(Some("1:0:1"))),
            (vec![5, 3], "5:0:1".into(), true, "3:0:0".into(), true)
        );
    }

    #[test]
    fn beside_an_empty_page_is_the_row_that_was_named() {
        let past = ids(Some("1:0:0"));
        assert_eq!(
            shown(&past),
            (vec![], "0:0:1".into(), true, "2:0:0".into(), false)
        );
        assert_eq!(ids(Some("0:0:1")).rows, [3, 1]);
    }

    #[test]
    fn a_list_by_offset_names_pages() {
        let fetch = |offset: i64, limit: i64| {
            Ok((0..5)
                .skip(offset as usize)
                .take(limit as usize)
                .collect::<Vec<i64>>())
        };
        let first = by_offset(page(None, 2), fetch).unwrap();
        assert_eq!(
            shown(&first),
            (vec![0, 1], "2:-1:1".into(), false, "2:1:0".into(), true)
        );
        let last = by_offset(page(Some("2:2:0"), 2), fetch).unwrap();
        assert_eq!(
            shown(&last),
            (vec![4], "2:1:1".into(), true, "2:3:0".into(), false)
        );
        assert!(by_offset(page(Some("2:-1:1"), 2), fetch).is_err());
        assert!(by_offset(page(Some("9223372036854775807:9:0"), 2), fetch).is_err());
    }

    /// Rows of a date in milliseconds and an id, newest first.
    fn dates(cursor: Option<&str>) -> Paged<(i64, i64)> {
        let fetch = |place, limit: u32| {
            let all = [(30, 7), (20, 6), (20, 5), (20, 2), (10, 9)];
            let mut rows: Vec<(i64, i64)> = match place {
                DatePlace::First => all.into(),
                DatePlace::Below { millis, id } => {
                    all.into_iter().filter(|row| *row < (millis, id)).collect()
                }
                DatePlace::Above { millis, id } => {
                    all.into_iter().filter(|row| *row > (millis, id)).collect()
                }
            };
            let excess = rows.len().saturating_sub(limit as usize);
            match place {
                DatePlace::Above { .. } => drop(rows.drain(..excess)),
                _ => rows.truncate(limit as usize),
            }
            Ok(rows)
        };
        let row = |row: &(i64, i64)| (Timestamp::from_us(row.0 * 1000 + 999), row.1);
        by_date(page(cursor, 2), row, fetch).unwrap()
    }

    #[test]
    fn a_list_by_date_tells_rows_of_one_date_apart() {
        let shown = |paged: Paged<(i64, i64)>| shown(&paged.map(|(_, id)| id));
        assert_eq!(
            shown(dates(None)),
            (vec![7, 6], "30:7:1".into(), false, "20:6:0".into(), true)
        );
        assert_eq!(
            shown(dates(Some("20:6:0"))),
            (vec![5, 2], "20:5:1".into(), true, "20:2:0".into(), true)
        );
        assert_eq!(
            shown(dates(Some("20:2:0"))),
            (vec![9], "10:9:1".into(), true, "10:9:0".into(), false)
        );
        assert_eq!(dates(Some("10:9:1")).rows, [(20, 5), (20, 2)]);
        assert_eq!(
            shown(dates(Some("20:5:1"))),
            (vec![7, 6], "30:7:1".into(), false, "20:6:0".into(), true)
        );
        // Past the end, and back.
        assert_eq!(
            shown(dates(Some("10:9:0"))),
            (vec![], "10:0:1".into(), true, "10:0:0".into(), false)
        );
        assert_eq!(dates(Some("10:0:1")).rows, [(20, 2), (10, 9)]);
    }
}
