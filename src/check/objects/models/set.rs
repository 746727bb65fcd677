//! A set of elements. Where nobody reads it as a whole, each element is a set of its own. States: a sorted vector,
//! O(size) a step.

use super::super::{Answer, Budget, Object, Op, by_parts, search};

/// What is asked of a set, and what it answered, if anybody knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SetCall {
    /// The element is in it from then on. It answers whether that is new.
    Add(i64, Option<bool>),
    /// The element is not in it from then on. It answers whether that is new.
    Remove(i64, Option<bool>),
    /// It answers whether the element is in it.
    Contains(i64, bool),
    /// It answers all elements, ascending.
    All(Vec<i64>),
}

/// See the module. It begins empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Set {
    /// Whether anybody reads it as a whole.
    pub is_read: bool,
}

impl Object for Set {
    type State = Vec<i64>;
    type Call = SetCall;

    fn first(&self) -> Vec<i64> {
        vec![]
    }
    fn apply(&self, state: &Vec<i64>, call: &SetCall) -> Option<Vec<i64>> {
        let suits = |answer: &Option<bool>, truth| answer.is_none_or(|answer| answer == truth);
        match call {
            SetCall::Add(element, new) => match state.binary_search(element) {
                Ok(_) => suits(new, false).then(|| state.clone()),
                Err(at) => suits(new, true).then(|| {
                    let mut after = Vec::with_capacity(state.len() + 1);
                    after.extend_from_slice(&state[..at]);
                    after.push(*element);
                    after.extend_from_slice(&state[at..]);
                    after
                }),
            },
            SetCall::Remove(element, new) => match state.binary_search(element) {
                Ok(at) => suits(new, true).then(|| [&state[..at], &state[at + 1..]].concat()),
                Err(_) => suits(new, false).then(|| state.clone()),
            },
            SetCall::Contains(element, is_in) => {
                (state.binary_search(element).is_ok() == *is_in).then(|| state.clone())
            }
            SetCall::All(elements) => (elements == state).then(|| state.clone()),
        }
    }
    fn observes(&self, call: &SetCall) -> bool {
        match call {
            SetCall::Add(_, new) | SetCall::Remove(_, new) => *new == Some(false),
            SetCall::Contains(..) | SetCall::All(_) => true,
        }
    }
    fn bytes(&self, state: &Vec<i64>) -> usize {
        64 + size_of_val(state.as_slice())
    }
    fn group(&self, call: &SetCall) -> Option<i64> {
        element(call).filter(|_| !self.is_read)
    }
}

fn element(call: &SetCall) -> Option<i64> {
    match call {
        SetCall::Add(e, _) | SetCall::Remove(e, _) | SetCall::Contains(e, _) => Some(*e),
        SetCall::All(_) => None,
    }
}

/// Judges a set: element by element, unless somebody reads it as a whole; if it only grows then, by what that implies,
/// else by the search.
pub fn judge_set(ops: &[Op<SetCall>], budget: &mut Budget) -> Answer {
    let is_read = ops.iter().any(|op| matches!(op.call, SetCall::All(_)));
    if let Some(answer) = is_read.then(|| super::grown::judge(ops)).flatten() {
        return answer;
    }
    let part = |call: &SetCall| element(call).filter(|_| !is_read);
    by_parts(ops, part, budget, |own, budget| search(&Set { is_read }, own, budget))
}
