//! Cuts lists into pages and writes their `Link` fields (facts/management-api.md 1.9).
//!
//! Three kinds, by what the first number of a cursor means: a row's id, a page's length, or a date. Clients
//! only echo cursors back, but read `results`: right for the way onwards; the way back is taken to have the rows
//! that a client came from.

use crate::domain::dsn::UrlPrefix;
use crate::domain::time::Timestamp;
use crate::http::page::{Cursor, Link, Page, PageError, link_value};
use crate::http::{Request, Response};
use crate::store::Place;

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
    let per_page = page.per_page as usize;
    let place = match page.cursor {
        None => Place::First,
        Some(cursor) if cursor.is_prev => Place::Above(cursor.value),
        Some(cursor) => Place::Below(cursor.value),
    };
    // One more than shown, to know whether there is another page.
    let mut rows = fetch(place, page.per_page + 1)?;
    let has_more = rows.len() > per_page;
    if has_more && matches!(place, Place::Above(_)) {
        rows.remove(0);
    } else {
        rows.truncate(per_page);
    }
    let (newer, older) = match place {
        Place::First => (false, has_more),
        Place::Below(_) => (true, has_more),
        Place::Above(_) => (has_more, true),
    };
    // Beside an empty page is the row that its own cursor named.
    let (first, last) = match (rows.first(), rows.last(), page.cursor) {
        (Some(first), Some(last), _) => (id(first), id(last)),
        (_, _, Some(cursor)) => (
            cursor.value.saturating_sub(1),
            cursor.value.saturating_add(1),
        ),
        (_, _, None) => (0, 0),
    };
    Ok(Paged {
        rows,
        previous: link(first, 0, true, newer),
        next: link(last, 0, false, older),
    })
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

/// A page of a list by date, newest first; `all` is the whole list. A cursor's first number is a date in
/// milliseconds and its second how many rows of that very date are left out.
pub(super) fn by_date<T>(
    page: Page,
    all: Vec<T>,
    date: impl Fn(&T) -> Timestamp,
) -> Result<Paged<T>> {
    let per_page = page.per_page as usize;
    let millis = |row: &T| date(row).us().div_euclid(1000);
    let boundary = page.cursor.map_or(0, |cursor| {
        let first = all.partition_point(|row| millis(row) > cursor.value);
        let offset = usize::try_from(cursor.offset).unwrap_or(0);
        first.saturating_add(offset).min(all.len())
    });
    let (start, end) = if page.cursor.is_some_and(|cursor| cursor.is_prev) {
        (boundary.saturating_sub(per_page), boundary)
    } else {
        (boundary, boundary.saturating_add(per_page).min(all.len()))
    };
    // Names a row; past the end, the place after the last one.
    let place = |at: usize| -> (i64, i64) {
        let Some(row) = all.get(at).or(all.last()) else {
            return (0, 0);
        };
        let value = millis(row);
        let first = all.partition_point(|row| millis(row) > value);
        (value, i64::try_from(at - first).unwrap_or(0))
    };
    let (previous, next) = (place(start), place(end));
    let has_more = end < all.len();
    let rows = all.into_iter().skip(start).take(end - start).collect();
    Ok(Paged {
        rows,
        previous: link(previous.0, previous.1, true, start > 0),
        next: link(next.0, next.1, false, has_more),
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

    #[test]
    fn a_list_by_date_tells_rows_of_one_date_apart() {
        // Milliseconds; the row's date is its value.
        let dates = |cursor: Option<&str>| {
            let all = vec![30, 20, 20, 20, 10];
            by_date(page(cursor, 2), all, |ms| Timestamp::from_us(ms * 1000)).unwrap()
        };
        let first = dates(None);
        assert_eq!(
            shown(&first),
            (vec![30, 20], "30:0:1".into(), false, "20:1:0".into(), true)
        );
        let second = dates(Some("20:1:0"));
        assert_eq!(
            shown(&second),
            (vec![20, 20], "20:1:1".into(), true, "10:0:0".into(), true)
        );
        let last = dates(Some("10:0:0"));
        assert_eq!(
            shown(&last),
            (vec![10], "10:0:1".into(), true, "10:1:0".into(), false)
        );
        assert_eq!(dates(Some("10:0:1")).rows, [20, 20]);
        assert_eq!(dates(Some("10:1:0")).rows, Vec::<i64>::new());
    }
}
