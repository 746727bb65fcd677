//! The operations of one register as the search wants them: events in the order of time, unknown operations in
//! classes, and until when each value is of use to anybody. O(n log n) in time, O(n) in memory.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// A register's value by number; 0 is "never written".
pub type Value = u32;

/// What an operation does to a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// It found this value.
    Read(Value),
    /// It set this value.
    Write(Value),
    /// It found the first value and set the second one.
    Swap(Value, Value),
    /// A compare-and-set that did not find this value.
    Missed(Value),
}

/// An operation on one register.
#[derive(Debug, Clone, Copy)]
pub struct Op {
    /// What it does.
    pub action: Action,
    /// When it was invoked.
    pub invoked: u64,
    /// When it returned; `None`: its outcome is unknown.
    pub returned: Option<u64>,
}

/// What happens at an instant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// An operation is invoked that will return.
    Call { slot: u32, op: u32 },
    /// It returns.
    Return { slot: u32, op: u32 },
    /// An operation of this class is invoked, whose outcome is unknown.
    Unknown { class: u32 },
    /// So many unknown writes of this class set from here on what nobody observes: they are junk.
    Retire { class: u32, count: u32 },
}

/// The class of unknown writes whose value nobody observes. All it can do is to change the value under a
/// compare-and-set that must miss.
pub(super) const JUNK_CLASS: u32 = 0;

/// The event at which what is observed by an unknown operation is observed for the last time.
const NEVER: u32 = u32::MAX;

/// All of them, prepared.
#[derive(Debug)]
pub(super) struct Prepared {
    /// By operation; values are numbered anew, in a row.
    pub actions: Vec<Action>,
    pub events: Vec<Event>,
    /// How many operations that will return are in flight at a time, at most.
    pub width: u32,
    /// What the unknown operations of each class do. They are interchangeable.
    pub classes: Vec<Action>,
    /// The classes that set a value.
    pub setting: Vec<Vec<u32>>,
    /// The last event at which somebody observes the value.
    until: Vec<u32>,
    /// The last event at which a compare-and-set must miss.
    pub missed_until: u32,
    pub first: Value,
}

impl Prepared {
    pub fn of(ops: &[Op]) -> Prepared {
        let order = order(ops);
        let values = Values::of(ops);
        let actions: Vec<Action> = ops.iter().map(|op| values.renumbered(op.action)).collect();
        let first = values.of_one(0);
        let count = values.next as usize;
        // By value, the place in the order where it is observed for the last time; unknown swaps may do so at any time.
        let mut last = vec![NEVER; count];
        for (place, (returns, i)) in order.iter().enumerate() {
            if let (true, Some(value)) = (returns, observed(actions[*i as usize])) {
                last[value as usize] = place as u32;
            }
        }
        let mut prepared = Prepared {
            actions,
            events: Vec::with_capacity(order.len()),
            width: 0,
            classes: vec![Action::Write(JUNK)],
            setting: vec![vec![]; count],
            until: vec![0; count],
            missed_until: 0,
            first,
        };
        let maybe = ops.iter().zip(&prepared.actions).filter(|(op, _)| op.returned.is_none());
        for (_, action) in maybe {
            if let Action::Swap(from, _) = action {
                last[*from as usize] = NEVER;
                prepared.until[*from as usize] = NEVER;
            }
        }
        prepared.build(ops, &order, &last);
        prepared
    }

    fn build(&mut self, ops: &[Op], order: &[(bool, u32)], last: &[u32]) {
        let mut classes: HashMap<Action, u32, RandomState> = HashMap::default();
        let mut invoked: Vec<u32> = vec![0];
        let (mut free, mut slot_of) = (vec![], vec![0u32; ops.len()]);
        let ever: Vec<bool> =
            last.iter().zip(&self.until).map(|(l, u)| *l != NEVER || *u == NEVER).collect();
        let mut over: Vec<bool> = ever.iter().map(|ever| !ever).collect();
        for (place, (returns, i)) in order.iter().enumerate() {
            let (op, action) = (*i, self.actions[*i as usize]);
            let now = self.events.len() as u32;
            if *returns {
                let slot = slot_of[op as usize];
                free.push(slot);
                self.events.push(Event::Return { slot, op });
                if matches!(action, Action::Missed(_)) {
                    self.missed_until = now;
                }
                let Some(value) = observed(action) else { continue };
                if last[value as usize] == place as u32 {
                    self.until[value as usize] = now;
                    over[value as usize] = true;
                    if let Some(class) = classes.get(&Action::Write(value)) {
                        let count = std::mem::take(&mut invoked[*class as usize]);
                        self.events.push(Event::Retire { class: *class, count });
                    }
                }
            } else if ops[op as usize].returned.is_some() {
                let slot = free.pop().unwrap_or(self.width);
                self.width = self.width.max(slot + 1);
                slot_of[op as usize] = slot;
                self.events.push(Event::Call { slot, op });
            } else {
                let class = match action {
                    Action::Write(value) if over[value as usize] => JUNK_CLASS,
                    Action::Write(value) | Action::Swap(_, value) => {
                        let next = self.classes.len() as u32;
                        let class = *classes.entry(action).or_insert(next);
                        if class == next {
                            self.classes.push(action);
                            self.setting[value as usize].push(class);
                            invoked.push(0);
                        }
                        class
                    }
                    // What tells nothing, and changes nothing.
                    Action::Read(_) | Action::Missed(_) => continue,
                };
                invoked[class as usize] += 1;
                self.events.push(Event::Unknown { class });
            }
        }
    }

    /// Whether nobody observes the value after this event.
    pub fn is_over(&self, value: Value, event: u32) -> bool {
        self.until[value as usize] <= event
    }
}

/// A value that nobody observes. All those are one.
pub(super) const JUNK: Value = 0;

/// Which value an operation observes.
fn observed(action: Action) -> Option<Value> {
    match action {
        Action::Read(value) | Action::Missed(value) | Action::Swap(value, _) => Some(value),
        Action::Write(_) => None,
    }
}

/// Calls and returns (`true`) in the order of time. At equal instants a call comes before a return: they may overlap.
fn order(ops: &[Op]) -> Vec<(bool, u32)> {
    let mut calls: Vec<(u64, u32)> = vec![];
    let mut returns: Vec<(u64, u32)> = vec![];
    calls.reserve_exact(ops.len());
    returns.reserve_exact(ops.len());
    for (i, op) in (0u32..).zip(ops) {
        calls.push((op.invoked, i));
        returns.extend(op.returned.map(|t| (t.max(op.invoked), i)));
    }
    calls.sort();
    returns.sort();
    let mut order = Vec::with_capacity(calls.len() + returns.len());
    let mut calls = calls.into_iter().peekable();
    for (time, i) in returns {
        while let Some((_, call)) = calls.next_if(|(at, _)| *at <= time) {
            order.push((false, call));
        }
        order.push((true, i));
    }
    order.extend(calls.map(|(_, call)| (false, call)));
    order
}

/// New numbers for values: from 1 on for those that somebody may observe.
struct Values {
    numbers: Numbers,
    next: Value,
}

/// A vector where the numbers are small, as they mostly are.
enum Numbers {
    Row(Vec<Value>),
    Any(HashMap<Value, Value, RandomState>),
}

impl Values {
    fn of(ops: &[Op]) -> Values {
        let highest = ops.iter().map(|op| match op.action {
            Action::Read(v) | Action::Write(v) | Action::Missed(v) => v,
            Action::Swap(a, b) => a.max(b),
        });
        let highest = highest.max().unwrap_or(0) as usize;
        let numbers = match highest <= ops.len().saturating_mul(4) + 64 {
            true => Numbers::Row(vec![JUNK; highest + 1]),
            false => Numbers::Any(HashMap::default()),
        };
        let mut values = Values { numbers, next: JUNK + 1 };
        for op in ops {
            let tells = op.returned.is_some() || matches!(op.action, Action::Swap(..));
            if let (true, Some(value)) = (tells, observed(op.action)) {
                values.observe(value);
            }
        }
        values
    }

    fn observe(&mut self, value: Value) {
        let number = match &mut self.numbers {
            Numbers::Row(row) => &mut row[value as usize],
            Numbers::Any(any) => any.entry(value).or_insert(JUNK),
        };
        if *number == JUNK {
            *number = self.next;
            self.next += 1;
        }
    }

    fn of_one(&self, value: Value) -> Value {
        match &self.numbers {
            Numbers::Row(row) => row[value as usize],
            Numbers::Any(any) => any.get(&value).copied().unwrap_or(JUNK),
        }
    }

    /// A swap that sets what it found only observes.
    fn renumbered(&self, action: Action) -> Action {
        match action {
            Action::Read(v) => Action::Read(self.of_one(v)),
            Action::Write(v) => Action::Write(self.of_one(v)),
            Action::Missed(v) => Action::Missed(self.of_one(v)),
            Action::Swap(a, b) if a == b => Action::Read(self.of_one(a)),
            Action::Swap(a, b) => Action::Swap(self.of_one(a), self.of_one(b)),
        }
    }
}
