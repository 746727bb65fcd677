//! Objects that are appended to: a text of a key-value store, a log.

use std::sync::Arc;

use super::super::Object;
use super::list::List;

/// What is asked of the text of one key, and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TextCall {
    /// It answers the whole text.
    Get(Arc<str>),
    /// It is this from then on.
    Put(Arc<str>),
    /// This is added to its end.
    Append(Arc<str>),
}

/// The text of one key of a store. It begins empty. A step takes O(its length).
#[derive(Debug, Clone, Copy, Default)]
pub struct Text;

impl Object for Text {
    type State = Arc<str>;
    type Call = TextCall;

    fn first(&self) -> Arc<str> {
        "".into()
    }
    fn apply(&self, state: &Arc<str>, call: &TextCall) -> Option<Arc<str>> {
        match call {
            TextCall::Get(text) => (text == state).then(|| Arc::clone(state)),
            TextCall::Put(text) => Some(Arc::clone(text)),
            TextCall::Append(text) => Some([&**state, &**text].concat().into()),
        }
    }
    fn observes(&self, call: &TextCall) -> bool {
        match call {
            TextCall::Get(_) => true,
            TextCall::Put(_) => false,
            TextCall::Append(text) => text.is_empty(),
        }
    }
    fn bytes(&self, state: &Arc<str>) -> usize {
        64 + state.len()
    }
}

/// What is asked of a log, and what it answered, if anybody knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogCall {
    /// The value is added to its end. It answers how many stood before it.
    Append(i64, Option<usize>),
    /// It answers all values, the first one first.
    All(Vec<i64>),
}

/// A log that is only appended to. It begins empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Object for Log {
    type State = List;
    type Call = LogCall;

    fn first(&self) -> List {
        List::default()
    }
    fn apply(&self, state: &List, call: &LogCall) -> Option<List> {
        match call {
            LogCall::Append(value, place) => {
                place.is_none_or(|place| place == state.len()).then(|| state.push(*value))
            }
            LogCall::All(values) => state.is(values).then(|| state.clone()),
        }
    }
    fn observes(&self, call: &LogCall) -> bool {
        matches!(call, LogCall::All(_))
    }
    fn bytes(&self, _: &List) -> usize {
        64
    }
}
