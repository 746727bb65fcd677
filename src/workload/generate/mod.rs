//! Generators: which call comes next. One file a model.
//!
//! Invariant: a generator is pure and seeded. The same seed, asked and told the same things in the same
//! order, makes the same calls; it has no clock and does no I/O. Its chance is one ChaCha8 stream.
//!
//! Objects that only grow (sets, lists) are left for fresh ones after some additions, and logs are read
//! from where the last reader stood, so that an answer has a bounded size however long the drill.
//! [`Generator::final_calls`] still names everything that was ever written to.
//!
//! Deliberately absent: when a call is made (the engine), and what its answer means (the checks).

mod bank;
mod counter;
mod list_append;
mod log;
mod queue;
mod register;
mod requests;
mod rolling;
mod set;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Model;
use crate::history::{Call, Key, Outcome, Process};
use crate::quantity::Ratio;

/// What share of the calls is of which kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// The share of reads among all calls. Queues have no reads, requests nothing else: they ignore it.
    pub reads: Ratio,
    /// The share of compare-and-sets among a register's writes. Other models ignore it.
    pub cas: Ratio,
}

impl Mix {
    /// The mix that suits a model: half reads, fewer where a read returns a whole collection.
    pub fn of(model: Model) -> Mix {
        let reads = match model {
            Model::Set => 0.1,
            Model::Log | Model::Bank => 0.3,
            _ => 0.5,
        };
        Mix { reads: Ratio::new(reads), cas: Ratio::new(0.3) }
    }
}

/// What a model's generator does with the chance that it is given.
trait Script: Send {
    fn next(&mut self, chance: &mut Chance, process: Process) -> Call;
    fn told(&mut self, _call: &Call, _outcome: &Outcome) {}
    fn final_calls(&self) -> Vec<Call>;
}

/// The one stream of chance of a generator, and the mix that it draws by.
struct Chance {
    rng: ChaCha8Rng,
    mix: Mix,
}

impl Chance {
    /// A number below `n`; 0 if `n` is 0.
    fn below(&mut self, n: u32) -> u32 {
        self.rng.random_range(0..n.max(1))
    }
    fn between(&mut self, low: i64, high: i64) -> i64 {
        self.rng.random_range(low..=high)
    }
    fn happens(&mut self, share: Ratio) -> bool {
        self.rng.random_bool(share.fraction())
    }
    fn reads(&mut self) -> bool {
        self.happens(self.mix.reads)
    }
}

/// Makes the calls of one drill.
pub struct Generator {
    chance: Chance,
    script: Box<dyn Script>,
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Generator").field("mix", &self.chance.mix).finish_non_exhaustive()
    }
}

impl Generator {
    /// A generator for `keys` objects at a time; fewer than the model needs are held to be that many.
    pub fn new(model: Model, keys: u32, seed: u64, mix: Mix) -> Generator {
        let keys = keys.max(model.fewest_keys());
        let script: Box<dyn Script> = match model {
            Model::Register => Box::new(register::Registers::new(keys)),
            Model::Counter => Box::new(counter::Counters { keys }),
            Model::Set => Box::new(set::Sets::new(keys)),
            Model::Queue => Box::new(queue::Queues { keys, next: 0 }),
            Model::Log => Box::new(log::Logs::new(keys)),
            Model::Bank => Box::new(bank::Bank { keys }),
            Model::ListAppend => Box::new(list_append::Lists::new(keys)),
            Model::Requests => Box::new(requests::Requests { keys }),
        };
        Generator { chance: Chance { rng: ChaCha8Rng::seed_from_u64(seed), mix }, script }
    }

    /// The next call, for this process to make.
    pub fn next(&mut self, process: Process) -> Call {
        self.script.next(&mut self.chance, process)
    }

    /// What became of a call. Makes the next ones more to the point (a compare-and-set that can succeed,
    /// a log read from where the last one ended); a generator that is told nothing works, too.
    pub fn told(&mut self, call: &Call, outcome: &Outcome) {
        self.script.told(call, outcome);
    }

    /// The calls that read all that was ever written to, once all is healed. A [`Call::Dequeue`] stands for
    /// draining its queue.
    pub fn final_calls(&self) -> Vec<Call> {
        self.script.final_calls()
    }
}

/// One call for each key.
fn each(keys: u32, call: impl Fn(Key) -> Call) -> Vec<Call> {
    (0..keys).map(call).collect()
}

#[cfg(test)]
mod tests;
