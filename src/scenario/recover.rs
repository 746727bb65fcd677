//! Several mistakes at once: what is wrong is written down and dropped, and the rest is read again.
//!
//! Invariant: what follows only from a dropped node (a field that is missing now) is not told.

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use super::decode::Decoder;
use super::diagnostic::{Diagnostic, Sources};
use super::tree::{Id, Node, Value};
use crate::fault::Place;

/// No more mistakes than this are told at once.
const DIAGNOSTICS_MAX: usize = 20;

/// Reads a value from a tree, or says all that is wrong with it, in the order of the places.
pub fn decode<T: DeserializeOwned>(
    mut root: Node,
    sources: &Sources,
) -> Result<T, Vec<Diagnostic>> {
    let mut found: Vec<(Place, Diagnostic)> = vec![];
    let mut damaged: HashSet<Id> = HashSet::new();
    loop {
        let error = match T::deserialize(Decoder(&root)) {
            Ok(value) if found.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => error,
        };
        let culprit = error.culprit.unwrap_or(root.id);
        if !damaged.contains(&culprit) {
            let place = error.place.unwrap_or(root.place);
            found.push((place, sources.diagnose(place, error.message, error.help)));
        }
        // Each round drops a node of a finite tree, or ends.
        match drop_node(&mut root, culprit) {
            Some(parent) => damaged.insert(parent),
            None => break,
        };
        if found.len() >= DIAGNOSTICS_MAX {
            break;
        }
    }
    found.sort_by_key(|(place, _)| *place);
    Err(found.into_iter().map(|(_, diagnostic)| diagnostic).collect())
}

/// Drops a node, and says out of which one. `None`: it is the root, or not there.
fn drop_node(node: &mut Node, culprit: Id) -> Option<Id> {
    let id = node.id;
    match &mut node.value {
        Value::Scalar { .. } => None,
        Value::List(items) => {
            let before = items.len();
            items.retain(|item| item.id != culprit);
            if items.len() < before {
                return Some(id);
            }
            items.iter_mut().find_map(|item| drop_node(item, culprit))
        }
        Value::Map(entries) => {
            let before = entries.len();
            entries.retain(|entry| entry.value.id != culprit);
            if entries.len() < before {
                return Some(id);
            }
            entries.iter_mut().find_map(|entry| drop_node(&mut entry.value, culprit))
        }
    }
}
