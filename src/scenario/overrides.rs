//! `--set path=value`: a value of the document is replaced before it is read, so that an override is held to
//! the same rules, and a mistake in it points at the override itself.

use super::diagnostic::{Diagnostic, Sources};
use super::suggest;
use super::tree::{self, Entry, Id, Ids, Node, Value};
use crate::fault::Place;

/// How an override is named in diagnostics.
const NAME: &str = "--set";

/// Replaces (or adds) the value at `path`: keys and list places (from 0), joined by dots.
pub fn apply(
    root: &mut Node,
    path: &str,
    value: &str,
    sources: &mut Sources,
    ids: &mut Ids,
) -> Result<(), Diagnostic> {
    let source = sources.push(NAME, format!("{path}={value}"));
    let offset = path.chars().count() as u32 + 1;
    let start = Place { source, line: 1, column: 1, width: offset.max(2) - 1 };
    let fail = |place: Place, message: String, help: Option<String>| {
        Err(sources.diagnose(place, message, help))
    };
    let new = match tree::read(value, source, ids) {
        Ok(mut node) => {
            shift(&mut node, offset);
            node
        }
        Err(_) if value.trim().is_empty() => {
            return fail(
                start,
                format!("no value for `{path}`"),
                Some(format!("write {path}=VALUE")),
            );
        }
        Err(mut error) => {
            error.place.column += offset;
            return fail(error.place, error.message, None);
        }
    };
    let mut column = 1;
    let mut steps = vec![];
    for key in path.split('.') {
        let width = key.chars().count() as u32;
        steps.push((key, Place { source, line: 1, column, width: width.max(1) }));
        column += width + 1;
    }
    replace(root, &steps, new, ids.next())
        .map_err(|(place, message, help)| sources.diagnose(place, message, help))
}

type Refusal = (Place, String, Option<String>);

fn replace(node: &mut Node, steps: &[(&str, Place)], new: Node, fresh: Id) -> Result<(), Refusal> {
    let Some(((key, place), rest)) = steps.split_first() else {
        *node = new;
        return Ok(());
    };
    if key.is_empty() {
        return Err((*place, "expected a name between the dots".into(), None));
    }
    if node.is_null() {
        node.value = Value::Map(vec![]);
    }
    let words = node.words();
    match &mut node.value {
        Value::Map(entries) => {
            if let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) {
                return replace(&mut entry.value, rest, new, fresh);
            }
            // A name that nobody knows is refused when the document is read, with the nearest known one.
            // But what should lie in it would hide that: only the last step may add.
            let value = match rest {
                [] => new,
                _ => {
                    let empty = Value::Map(vec![]);
                    let mut inner = Node { id: fresh, place: *place, value: empty };
                    replace(&mut inner, rest, new, fresh + NESTED)?;
                    inner
                }
            };
            entries.push(Entry { key: key.to_string(), place: *place, value });
            Ok(())
        }
        Value::List(items) => {
            let count = items.len();
            let item = key.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            match item {
                Some(item) => replace(item, rest, new, fresh),
                None => {
                    let known: Vec<String> = (0..count).map(|n| n.to_string()).collect();
                    let message = format!("no place `{key}` in a list of {count}");
                    Err((*place, message, suggest::remedy(key, &known)))
                }
            }
        }
        Value::Scalar { .. } => Err((
            *place,
            format!("`{key}` cannot be looked up in {words}, which has no fields"),
            None,
        )),
    }
}

/// Numbers for the mappings that an override adds around its value lie far from all others.
const NESTED: Id = 1 << 24;

fn shift(node: &mut Node, offset: u32) {
    if node.place.line == 1 {
        node.place.column += offset;
    }
    match &mut node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter_mut().for_each(|item| shift(item, offset)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            if entry.place.line == 1 {
                entry.place.column += offset;
            }
            shift(&mut entry.value, offset);
        }),
    }
}
