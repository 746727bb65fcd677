//! Objects whose state is a number: counters, semaphores, locks.

use super::super::Object;

/// What is asked of a counter, and what it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CounterCall {
    /// It is added to.
    Add(i64),
    /// It answers its value.
    Read(i64),
    /// The first number is added, and it answers the sum.
    AddAndGet(i64, i64),
}

/// A counter. It wraps around.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counter {
    /// What it begins with.
    pub initial: i64,
}

impl Object for Counter {
    type State = i64;
    type Call = CounterCall;

    fn first(&self) -> i64 {
        self.initial
    }
    fn apply(&self, state: &i64, call: &CounterCall) -> Option<i64> {
        match call {
            CounterCall::Add(by) => Some(state.wrapping_add(*by)),
            CounterCall::Read(value) => (value == state).then_some(*state),
            CounterCall::AddAndGet(by, sum) => {
                let after = state.wrapping_add(*by);
                (after == *sum).then_some(after)
            }
        }
    }
    fn observes(&self, call: &CounterCall) -> bool {
        matches!(call, CounterCall::Read(_) | CounterCall::Add(0) | CounterCall::AddAndGet(0, _))
    }
}

/// What is asked of a semaphore, and what it answered, if anybody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SemaphoreCall {
    /// A permit is given back.
    Up,
    /// A permit is taken, if there is one. It answers whether there was.
    Down(Option<bool>),
}

/// A semaphore that does not wait.
#[derive(Debug, Clone, Copy, Default)]
pub struct Semaphore {
    /// How many permits there are at first.
    pub initial: u64,
}

impl Object for Semaphore {
    type State = u64;
    type Call = SemaphoreCall;

    fn first(&self) -> u64 {
        self.initial
    }
    fn apply(&self, state: &u64, call: &SemaphoreCall) -> Option<u64> {
        match call {
            SemaphoreCall::Up => Some(state.saturating_add(1)),
            SemaphoreCall::Down(Some(true)) => state.checked_sub(1),
            SemaphoreCall::Down(Some(false)) => (*state == 0).then_some(0),
            SemaphoreCall::Down(None) => Some(state.saturating_sub(1)),
        }
    }
    fn observes(&self, call: &SemaphoreCall) -> bool {
        *call == SemaphoreCall::Down(Some(false))
    }
}

/// What is asked of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MutexCall {
    /// It was free, and is held from then on.
    Acquire,
    /// It was held, and is free from then on.
    Release,
    /// It was held, and nothing changed.
    Refused,
}

/// A lock. It begins free, and does not know who holds it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mutex;

impl Object for Mutex {
    type State = bool;
    type Call = MutexCall;

    fn first(&self) -> bool {
        false
    }
    fn apply(&self, held: &bool, call: &MutexCall) -> Option<bool> {
        match call {
            MutexCall::Acquire => (!held).then_some(true),
            MutexCall::Release => held.then_some(false),
            MutexCall::Refused => held.then_some(true),
        }
    }
    fn observes(&self, call: &MutexCall) -> bool {
        *call == MutexCall::Refused
    }
}
