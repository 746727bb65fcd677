//! The operations of one register as the search wants them: events in the order of time, unknown
//! operations in classes, and until when each value is of use to anybody.

use std::collections::{HashMap, HashSet};

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

/// More than this many operations in flight on one register at once are not searched.
pub const WIDEST: usize = 128;

/// An operation that was invoked and has not returned.
#[derive(Debug, Clone, Copy)]
pub struct InFlight {
    pub slot: u8,
    pub action: Action,
}

/// A call or a return.
#[derive(Debug)]
pub enum Event {
    Call(InFlight),
    /// The slot, its operation, and where in `flights` the operations in flight stand.
    Return {
        slot: u8,
        op: u32,
        from: u32,
        to: u32,
    },
}

/// Interchangeable unknown operations.
#[derive(Debug)]
pub struct Class {
    pub action: Action,
    /// The events before which they were invoked, ascending.
    pub since: Vec<u32>,
    /// The last event at which they are of use as what they are.
    pub until: u32,
}

/// A value that nobody observes.
pub const JUNK: Value = Value::MAX;

/// All of them, prepared.
#[derive(Debug)]
pub struct Prepared {
    pub events: Vec<Event>,
    pub flights: Vec<InFlight>,
    /// The first one is junk.
    pub classes: Vec<Class>,
    /// The classes that set a value.
    pub setting: HashMap<Value, Vec<u32>>,
    /// The last event at which somebody observes the value for certain.
    pub observed: HashMap<Value, u32>,
    /// Values that unknown swaps may observe.
    pub maybe: HashSet<Value>,
    /// Values that more than one operation sets.
    pub common: HashSet<Value>,
    /// The last event at which a compare-and-set must miss.
    pub missed_until: u32,
}

impl Prepared {
    /// Prepares them; `Err`: more than [`WIDEST`] are in flight when this one is invoked.
    pub fn of(ops: &[Op]) -> Result<Prepared, usize> {
        // At equal instants a call comes before a return: they may overlap.
        let mut order: Vec<(u64, bool, usize)> = Vec::with_capacity(ops.len() * 2);
        for (i, op) in ops.iter().enumerate() {
            order.push((op.invoked, false, i));
            order.extend(op.returned.map(|t| (t.max(op.invoked), true, i)));
        }
        order.sort_unstable();
        let junk = Class { action: Action::Write(JUNK), since: vec![], until: u32::MAX };
        let mut prepared = Prepared {
            events: Vec::with_capacity(order.len()),
            flights: vec![],
            classes: vec![junk],
            setting: HashMap::new(),
            observed: HashMap::new(),
            maybe: HashSet::new(),
            common: HashSet::new(),
            missed_until: 0,
        };
        let mut classes: HashMap<Action, usize> = HashMap::new();
        let mut slots: Vec<Option<InFlight>> = vec![];
        let mut slot_of = vec![0u8; ops.len()];
        for (_, returns, i) in order {
            let action = ops[i].action;
            let now = prepared.events.len() as u32;
            if returns {
                let slot = slot_of[i];
                let from = prepared.flights.len() as u32;
                prepared.flights.extend(slots.iter().flatten());
                let to = prepared.flights.len() as u32;
                prepared.events.push(Event::Return { slot, op: i as u32, from, to });
                slots[usize::from(slot)] = None;
            } else if ops[i].returned.is_none() {
                let next = prepared.classes.len();
                let class = *classes.entry(action).or_insert(next);
                if class == next {
                    prepared.classes.push(Class { action, since: vec![], until: 0 });
                }
                prepared.classes[class].since.push(now);
            } else {
                let free = slots.iter().position(Option::is_none).unwrap_or(slots.len());
                if free >= WIDEST {
                    return Err(i);
                }
                let flight = InFlight { slot: free as u8, action };
                match slots.get_mut(free) {
                    Some(slot) => *slot = Some(flight),
                    None => slots.push(Some(flight)),
                }
                slot_of[i] = free as u8;
                prepared.events.push(Event::Call(flight));
            }
        }
        prepared.index(ops);
        Ok(prepared)
    }

    /// Until when each value and each class is of use.
    fn index(&mut self, ops: &[Op]) {
        let mut missed: HashMap<Value, u32> = HashMap::new();
        for (now, event) in self.events.iter().enumerate() {
            let Event::Return { op, .. } = event else { continue };
            let now = now as u32;
            match ops[*op as usize].action {
                Action::Read(v) | Action::Swap(v, _) => {
                    self.observed.insert(v, now);
                }
                Action::Missed(v) => {
                    missed.insert(v, now);
                    self.missed_until = now;
                }
                Action::Write(_) => {}
            }
        }
        let mut set = HashSet::from([0]);
        for op in ops {
            if let (Action::Swap(from, _), None) = (op.action, op.returned) {
                self.maybe.insert(from);
            }
            if let Action::Write(v) | Action::Swap(_, v) = op.action
                && !set.insert(v)
            {
                self.common.insert(v);
            }
        }
        let mut junk = vec![];
        for (number, class) in self.classes.iter_mut().enumerate().skip(1) {
            match class.action {
                Action::Write(v) => {
                    // What must be missed is no junk while it must.
                    let until = match self.maybe.contains(&v) {
                        true => Some(u32::MAX),
                        false => self.observed.get(&v).max(missed.get(&v)).copied(),
                    };
                    class.until = until.unwrap_or(0);
                    let idle = until.map_or(0, |u| u.saturating_add(1));
                    junk.extend(class.since.iter().map(|since| (*since).max(idle)));
                    self.setting.entry(v).or_default().push(number as u32);
                }
                Action::Swap(from, to) => {
                    let missed = missed.get(&from).copied().unwrap_or(0);
                    class.until = match self.maybe.contains(&to) {
                        true => u32::MAX,
                        false => self.observed.get(&to).copied().unwrap_or(0).max(missed),
                    };
                    self.setting.entry(to).or_default().push(number as u32);
                }
                Action::Read(_) | Action::Missed(_) => {}
            }
        }
        junk.sort_unstable();
        self.classes[0].since = junk;
        self.classes[0].until = self.missed_until;
    }
}
