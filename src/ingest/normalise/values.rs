//! The lists of exceptions, threads and breadcrumbs, which SDKs send as `{"values": [...]}`, as a bare list or
//! as a single object (facts/ingestion.md 0, rule 13).

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{trim, value};

const KEY: &str = "values";

/// Brings a field into the form with `values` and its items, which are objects, into theirs. Of more than
/// `count_max` items the last ones stay: the last exception is the main one, the last breadcrumb the newest.
/// A field without items becomes null.
pub(super) fn each<'a>(
    node: &mut Node<'a>,
    count_max: usize,
    path: &Path<'_>,
    meta: &mut Meta,
    mut item: impl FnMut(&mut Map<'a>, &Path<'_>, &mut Meta),
) {
    wrap(node);
    let Some(wrapper) = value::object(node, path, meta) else {
        return;
    };
    let path = path.key(KEY);
    let values = wrapper.entry(KEY);
    if matches!(values, Node::Map(_)) {
        *values = Node::List(vec![values.take()]);
    }
    let mut is_empty = true;
    if let Some(list) = value::list(values, &path, meta) {
        value::keep_objects(list, &path, meta);
        trim::keep_last(list, count_max, &path, meta);
        for (index, node) in list.iter_mut().enumerate() {
            if let Node::Map(map) = node {
                item(map, &path.index(index), meta);
                value::drop_nulls(map);
            }
        }
        is_empty = list.is_empty();
    }
    if is_empty {
        node.take();
    }
}

/// The items of a field that has been brought into its form.
pub(super) fn of<'n, 'a>(event: &'n mut Map<'a>, field: &str) -> &'n mut [Node<'a>] {
    event
        .map_mut(field)
        .and_then(|wrapper| wrapper.get_mut(KEY))
        .and_then(Node::as_list_mut)
        .map_or(&mut [], Vec::as_mut_slice)
}

fn wrap(node: &mut Node<'_>) {
    let items = match node {
        Node::List(_) => node.take(),
        Node::Map(map) if !map.contains(KEY) && !map.is_empty() => Node::List(vec![node.take()]),
        _ => return,
    };
    let mut wrapper = Map::new();
    *wrapper.entry(KEY) = items;
    *node = Node::Map(wrapper);
}

#[cfg(test)]
mod tests {
    use super::super::tests::one_field;
    use super::*;

    fn plain(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
        each(node, 3, path, meta, |_, _, _| {});
    }

    #[test]
    fn every_form_becomes_the_one_with_values() {
        let wrapped = r#"{"values":[{"type":"A"}]}"#;
        for sent in [
            wrapped,
            r#"[{"type":"A"}]"#,
            r#"[null,{"type":"A","value":null},5]"#,
            r#"{"type":"A"}"#,
            r#"{"values":{"type":"A"}}"#,
        ] {
            assert_eq!(one_field(sent, plain), wrapped, "{sent}");
        }
    }

    #[test]
    fn a_field_without_items_is_null() {
        for sent in [
            "null",
            "{}",
            "[]",
            "5",
            r#""x""#,
            r#"{"values":null}"#,
            r#"{"values":[]}"#,
            r#"{"values":[null,1,[]]}"#,
            r#"{"values":"x"}"#,
        ] {
            assert_eq!(one_field(sent, plain), "null", "{sent}");
        }
    }

    #[test]
    fn of_too_many_items_the_last_stay() {
        assert_eq!(
            one_field(r#"[{"a":1},{"a":2},{"a":3},{"a":4}]"#, plain),
            r#"{"values":[{"a":2},{"a":3},{"a":4}]}"#
        );
    }
}
