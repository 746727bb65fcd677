//! What elements are put into and taken out of again: stacks and priority queues. States: a shared list (O(1) a step),
//! a sorted vector (O(size) a step).

use super::super::monitor;
use super::super::{Answer, Budget, Object, Op, search};
use super::list::List;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Found {
    /// This element.
    Value(i64),
    /// That there was none.
    Nothing,
    /// Nobody knows.
    Unknown,
}

/// What is asked of a container, and what it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerCall {
    /// An element is put in: push, insert.
    Put(i64),
    /// The element whose turn it is is taken out, if there is any: pop, poll.
    Take(Found),
    /// It is looked at: peek.
    Peek(Found),
}

use ContainerCall::{Peek, Put, Take};

/// A container, by which element's turn it is.
pub trait Container: Object<Call = ContainerCall> {
    /// See [`monitor`].
    fn monitor(&self, ops: &[Op<ContainerCall>]) -> monitor::Verdict;
}

/// Last in, first out. It begins empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stack;

/// The largest element first, or the smallest one. It begins empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Priority {
    /// Whether the smallest element comes first.
    pub smallest_first: bool,
}

fn observes(call: &ContainerCall) -> bool {
    matches!(call, Peek(_) | Take(Found::Nothing))
}

fn group(call: &ContainerCall) -> Option<i64> {
    match call {
        Put(value) | Take(Found::Value(value)) | Peek(Found::Value(value)) => Some(*value),
        // Of what it took nobody knows what else went.
        Take(_) | Peek(_) => None,
    }
}

fn suits(found: Found, there: Option<i64>) -> bool {
    match found {
        Found::Value(value) => there == Some(value),
        Found::Nothing => there.is_none(),
        Found::Unknown => true,
    }
}

impl Object for Stack {
    type State = List;
    type Call = ContainerCall;

    fn first(&self) -> List {
        List::default()
    }
    fn apply(&self, state: &List, call: &ContainerCall) -> Option<List> {
        let top = state.pop();
        match call {
            Put(value) => Some(state.push(*value)),
            Take(found) => suits(*found, top.map(|top| top.0))
                .then(|| top.map_or_else(List::default, |(_, below)| below.clone())),
            Peek(found) => suits(*found, top.map(|top| top.0)).then(|| state.clone()),
        }
    }
    fn observes(&self, call: &ContainerCall) -> bool {
        observes(call)
    }
    fn bytes(&self, _: &List) -> usize {
        64
    }
    fn group(&self, call: &ContainerCall) -> Option<i64> {
        group(call)
    }
}

impl Object for Priority {
    /// Ascending: the last one's turn it is.
    type State = Vec<i64>;
    type Call = ContainerCall;

    fn first(&self) -> Vec<i64> {
        vec![]
    }
    fn apply(&self, state: &Vec<i64>, call: &ContainerCall) -> Option<Vec<i64>> {
        let turn = match self.smallest_first {
            true => state.first(),
            false => state.last(),
        };
        match call {
            Put(value) => {
                let mut after = state.clone();
                after.insert(state.partition_point(|other| other < value), *value);
                Some(after)
            }
            Take(found) => suits(*found, turn.copied()).then(|| {
                let from = usize::from(self.smallest_first && !state.is_empty());
                let to = state.len() - usize::from(!self.smallest_first && !state.is_empty());
                state[from..to].to_vec()
            }),
            Peek(found) => suits(*found, turn.copied()).then(|| state.clone()),
        }
    }
    fn observes(&self, call: &ContainerCall) -> bool {
        observes(call)
    }
    fn bytes(&self, state: &Vec<i64>) -> usize {
        64 + size_of_val(state.as_slice())
    }
    fn group(&self, call: &ContainerCall) -> Option<i64> {
        group(call)
    }
}

impl Container for Stack {
    fn monitor(&self, ops: &[Op<ContainerCall>]) -> monitor::Verdict {
        monitor::stack(ops)
    }
}
impl Container for Priority {
    fn monitor(&self, ops: &[Op<ContainerCall>]) -> monitor::Verdict {
        monitor::priority(ops, self.smallest_first)
    }
}

/// Judges a stack: by the monitor where it can tell, else by the search.
pub fn judge_stack(ops: &[Op<ContainerCall>], budget: &mut Budget) -> Answer {
    judge(&Stack, ops, budget)
}

/// Judges a priority queue: by the monitor where it can tell, else by the search.
pub fn judge_priority(queue: Priority, ops: &[Op<ContainerCall>], budget: &mut Budget) -> Answer {
    judge(&queue, ops, budget)
}

fn judge<O: Container>(object: &O, ops: &[Op<ContainerCall>], budget: &mut Budget) -> Answer {
    monitor::with_search(object.monitor(ops), || search(object, ops, budget))
}
