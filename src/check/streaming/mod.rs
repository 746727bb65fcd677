//! Checks that run while the drill runs, so that a violation can end it at once: linearizable registers, and logs.
//!
//! Pure: events come in, in the order of time; at equal instants calls before returns. Reads of a single replica
//! promise nothing, and are not to be told.
//!
//! Registers are judged exactly: a violation is told at the first return by which no order suits any more, whatever is
//! still in flight ("Linearizability", Herlihy & Wing; just-in-time linearization, Lowe). An operation that failed did
//! not happen: if it was seen before, its return is the violation. A compare-and-set that missed is an observation, an
//! unknown read is no read, and any other unknown operation may take effect at any instant after its call. What would
//! take too much memory or time is undecided from then on.
//!
//! Memory: of registers by what is in flight and what returned since it was called; and for each unknown write about 40
//! bytes as long as its value is not seen, or 150 where a compare-and-set missed that value. Of logs see [`log`].

mod flights;
mod kinds;
mod log;
mod register;
mod space;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use foldhash::fast::FixedState;
use log::OneLog;
use register::{Asked, Flight, Halt, Register, Told};
use state::Value;

use crate::history::{Call, Key, Message, Outcome, Process, Reply, Time};

/// Something that no correct system does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When it was known.
    pub at: Time,
    /// The operation whose return told it.
    pub operation: u64,
    /// The object.
    pub key: Key,
    /// What is wrong, in words.
    pub words: String,
}

/// An object of which it is not known whether it is correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// Since when. All before that is correct.
    pub at: Time,
    /// The operation at whose call or return it was given up.
    pub operation: u64,
    /// The object.
    pub key: Key,
    /// Why.
    pub words: &'static str,
}

/// What it may take, and what it may take for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// So many states are kept for one register, at 150 bytes and more each.
    pub states: usize,
    /// So many for all of them.
    pub all_states: usize,
    /// So many are visited for one return.
    pub steps: u64,
    /// What each register holds at first; whoever then reads nothing was not answered. `None`: nothing, and that can be
    /// read.
    pub initial: Option<i64>,
    /// Each value is set once in a register. Then less need be kept; where it turns out wrong, a register may be
    /// undecided that would not be otherwise.
    pub set_once: bool,
}

/// Where so many old unknown writes are to spare, others are not tried instead of one of them.
const SPARE: usize = 16;

/// What is unknown of a register is put in order after so many returns.
const TIDY: u32 = 8;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            states: 1 << 16,
            all_states: 1 << 20,
            steps: 200_000,
            initial: None,
            set_once: true,
        }
    }
}

/// Who is in flight.
#[derive(Debug)]
enum InFlight {
    Register(Key, Flight),
    Append(Key, Message),
    /// From which offset on, and how far the log was acknowledged.
    ReadLog(Key, u64, u64),
}

/// See the module.
#[derive(Debug)]
pub struct Streaming {
    limits: register::Limits,
    /// What each register holds at first.
    first: Value,
    all_states: usize,
    /// `None`: judged no further.
    registers: HashMap<Key, Option<Register>, FixedState>,
    logs: HashMap<Key, Option<OneLog>, FixedState>,
    in_flight: HashMap<u64, InFlight, FixedState>,
    /// How many states are kept.
    kept: usize,
    undecided: Vec<Undecided>,
}

impl Default for Streaming {
    fn default() -> Streaming {
        Streaming::within(Limits::default())
    }
}

impl Streaming {
    /// Nothing has happened yet.
    pub fn within(limits: Limits) -> Streaming {
        Streaming {
            limits: register::Limits {
                states: limits.states,
                steps: limits.steps,
                once: limits.set_once,
                spare: SPARE,
                tidy: TIDY,
            },
            first: limits.initial.map_or(Value::Unset, Value::Is),
            all_states: limits.all_states,
            registers: HashMap::default(),
            logs: HashMap::default(),
            in_flight: HashMap::default(),
            kept: 0,
            undecided: vec![],
        }
    }

    /// An operation was invoked; by whom makes no difference.
    pub fn invoked(&mut self, id: u64, _process: Process, at: Time, call: &Call) {
        let flight = match *call {
            Call::Read { key } => self.call(id, at, key, Asked::Read),
            Call::Write { key, value } => self.call(id, at, key, Asked::Write(value)),
            Call::Cas { key, from, to } => self.call(id, at, key, Asked::Cas(from, to)),
            Call::Append { key, message } => self.log(key).map(|log| {
                log.send(message);
                InFlight::Append(key, message)
            }),
            Call::ReadLog { key, from } => {
                self.log(key).map(|log| InFlight::ReadLog(key, from, log.acknowledged()))
            }
            _ => None,
        };
        if let Some(flight) = flight {
            self.in_flight.insert(id, flight);
        }
    }

    /// It returned.
    pub fn returned(&mut self, id: u64, at: Time, outcome: &Outcome) -> Option<Violation> {
        let (key, words) = match self.in_flight.remove(&id)? {
            InFlight::Register(key, flight) => (key, self.told(id, at, key, flight, outcome)?),
            InFlight::Append(key, message) => {
                let log = self.logs.get_mut(&key)?.as_mut()?;
                let wrong = match outcome {
                    Outcome::Ok(Reply::Offset(at)) => log.acknowledge(message, *at),
                    Outcome::Fail(_) => log.failed(message),
                    _ => None,
                };
                (key, self.wrong(key, wrong?))
            }
            InFlight::ReadLog(key, from, acknowledged) => {
                let log = self.logs.get_mut(&key)?.as_mut()?;
                let Outcome::Ok(Reply::Messages(messages)) = outcome else { return None };
                let wrong = log.read(from, messages, acknowledged);
                (key, self.wrong(key, wrong?))
            }
        };
        Some(Violation { at, operation: id, key, words })
    }

    /// Of which objects it is not known whether they are correct, the first one first.
    pub fn undecided(&self) -> &[Undecided] {
        &self.undecided
    }

    fn log(&mut self, key: Key) -> Option<&mut OneLog> {
        self.logs.entry(key).or_insert_with(|| Some(OneLog::default())).as_mut()
    }

    /// What is wrong with a log, which is judged no further.
    fn wrong(&mut self, key: Key, words: String) -> String {
        self.logs.insert(key, None);
        format!("log k{key}: {words}")
    }

    fn call(&mut self, id: u64, at: Time, key: Key, asked: Asked) -> Option<InFlight> {
        let (first, limits) = (self.first, self.limits);
        let register = self.registers.entry(key);
        let register = register.or_insert_with(|| Some(Register::new(first, limits))).as_mut()?;
        let before = register.kept();
        let called = register.call(asked);
        self.kept = (self.kept + register.kept()).saturating_sub(before);
        match called {
            Ok(flight) => Some(InFlight::Register(key, flight)),
            Err(halt) => {
                self.halt(id, at, key, halt);
                None
            }
        }
    }

    /// What is wrong with a register by now.
    fn told(
        &mut self,
        id: u64,
        at: Time,
        key: Key,
        flight: Flight,
        outcome: &Outcome,
    ) -> Option<String> {
        let found = |value| (value != Value::Unset || self.first == Value::Unset).then_some(value);
        let told = match outcome {
            Outcome::Fail(_) => Told::Failed,
            Outcome::Unknown(_) => Told::Unknown,
            Outcome::Ok(Reply::Value(value)) => {
                Told::Found(found(value.map_or(Value::Unset, Value::Is)))
            }
            Outcome::Ok(Reply::Swapped(false)) => Told::Missed,
            Outcome::Ok(_) => Told::Done,
        };
        let register = self.registers.get_mut(&key)?.as_mut()?;
        let before = register.kept();
        let result = register.told(flight, told);
        self.kept = (self.kept + register.kept()).saturating_sub(before);
        let full = self.kept > self.all_states;
        let full = full.then_some(Halt::GaveUp("too much is possible in all registers"));
        let halt = result.err().or(full)?;
        self.halt(id, at, key, halt);
        (halt == Halt::Broken).then(|| {
            format!("register k{key} is not linearizable: by now no order suits what is known")
        })
    }

    /// Judges a register no further.
    fn halt(&mut self, id: u64, at: Time, key: Key, halt: Halt) {
        if let Some(Some(register)) = self.registers.insert(key, None) {
            self.kept = self.kept.saturating_sub(register.kept());
        }
        if let Halt::GaveUp(words) = halt {
            self.undecided.push(Undecided { at, operation: id, key, words });
        }
    }
}
