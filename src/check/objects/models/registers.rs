//! Registers that plain reads and writes do not suffice for: read-modify-write, and several at once in one operation.

use super::super::Object;

/// What is asked of a register, and what it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RmwCall {
    /// It answers the first value, and holds the second one from then on.
    ReadModifyWrite(i64, i64),
    /// It answers its value.
    Read(i64),
    /// It holds this value from then on.
    Write(i64),
}

/// A register that is read and written in one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rmw {
    /// What it begins with.
    pub initial: i64,
}

impl Object for Rmw {
    type State = i64;
    type Call = RmwCall;

    fn first(&self) -> i64 {
        self.initial
    }
    fn apply(&self, state: &i64, call: &RmwCall) -> Option<i64> {
        match call {
            RmwCall::ReadModifyWrite(found, after) => (found == state).then_some(*after),
            RmwCall::Read(found) => (found == state).then_some(*found),
            RmwCall::Write(value) => Some(*value),
        }
    }
    fn observes(&self, call: &RmwCall) -> bool {
        match call {
            RmwCall::ReadModifyWrite(found, after) => found == after,
            RmwCall::Read(_) => true,
            RmwCall::Write(_) => false,
        }
    }
}

/// What one of an operation's accesses does, and to which register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// The register holds the value from then on.
    Write(i64, i64),
    /// The register was found with this value; `None`: never written.
    Read(i64, Option<i64>),
}

/// Registers, several of which are read or written in one operation, access by access. They begin never written.
#[derive(Debug, Clone, Default)]
pub struct Registers {
    /// What registers begin with that do not begin so: ascending by register.
    pub initial: Vec<(i64, i64)>,
}

impl Object for Registers {
    /// By register, ascending.
    type State = Vec<(i64, i64)>;
    type Call = Vec<Access>;

    fn first(&self) -> Vec<(i64, i64)> {
        self.initial.clone()
    }
    fn apply(&self, state: &Vec<(i64, i64)>, call: &Vec<Access>) -> Option<Vec<(i64, i64)>> {
        let mut after = state.clone();
        for access in call {
            let (Access::Write(key, _) | Access::Read(key, _)) = access;
            let at = after.binary_search_by_key(key, |(key, _)| *key);
            match access {
                Access::Write(key, value) => match at {
                    Ok(at) => after[at].1 = *value,
                    Err(at) => after.insert(at, (*key, *value)),
                },
                Access::Read(_, found) if at.ok().map(|at| after[at].1) == *found => {}
                Access::Read(..) => return None,
            }
        }
        Some(after)
    }
    fn observes(&self, call: &Vec<Access>) -> bool {
        call.iter().all(|access| matches!(access, Access::Read(..)))
    }
    fn bytes(&self, state: &Vec<(i64, i64)>) -> usize {
        64 + size_of_val(state.as_slice())
    }
}
