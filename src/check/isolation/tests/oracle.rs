//! Small histories, and whether some serial order explains them: every one is tried. Written to be plain, not fast.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::check::isolation::Workload;
use crate::history::transactions::{Action, Name, Outcome, Transaction, Transactions};

/// What a transaction is to do, and how its answers are meddled with.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whether it writes, which key, and how a read's answer is changed.
    pub steps: Vec<(bool, u32, Meddle)>,
    pub process: u32,
    pub invoked: u64,
    pub took: u64,
    /// When it takes effect, in tenths of its interval.
    pub point: u64,
    pub outcome: Outcome,
    /// If its outcome is unknown: whether it happens.
    pub happens: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meddle {
    No,
    /// A read misses so many writes of the end.
    Stale(usize),
    /// A read sees what this one of all writes to its key wrote.
    Other(usize),
    /// A read of a list is turned round.
    Turned,
}

fn meddle() -> impl Strategy<Value = Meddle> {
    prop_oneof![
        8 => Just(Meddle::No),
        2 => (1_usize..3).prop_map(Meddle::Stale),
        1 => (0_usize..6).prop_map(Meddle::Other),
        1 => Just(Meddle::Turned),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![8 => Just(Outcome::Ok), 2 => Just(Outcome::Info), 1 => Just(Outcome::Fail)]
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let steps = proptest::collection::vec((any::<bool>(), 0_u32..3, meddle()), 1..4);
    let times = (0_u64..20, 0_u64..12, 0_u64..=10);
    (steps, 0_u32..4, times, outcome(), any::<bool>()).prop_map(
        |(steps, process, (invoked, took, point), outcome, happens)| Plan {
            steps,
            process,
            invoked: invoked * 10,
            took: took * 10,
            point,
            outcome,
            happens,
        },
    )
}

/// All keys are read at the end, so that the order of all appends is known.
pub fn with_final_reads(mut plans: Vec<Plan>) -> Vec<Plan> {
    let steps = (0..3).map(|key| (false, key, Meddle::No)).collect();
    let (process, invoked, took, point) = (9, 1000, 10, 5);
    plans.push(Plan { steps, process, invoked, took, point, outcome: Outcome::Ok, happens: true });
    plans
}

/// A transaction with owned answers.
#[derive(Debug, Clone)]
pub struct Txn {
    pub head: Transaction,
    pub steps: Vec<(u32, Step)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Write(i64),
    /// Everything that was written to the key up to then; `None`: unknown.
    Read(Option<Vec<i64>>),
}

/// Runs plans on a correct system, one at a time, and changes answers as they say.
pub fn run(plans: &[Plan]) -> Vec<Txn> {
    let mut order: Vec<usize> = (0..plans.len()).collect();
    order.sort_by_key(|i| (plans[*i].invoked + plans[*i].took * plans[*i].point / 10, *i));
    let mut state: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    let mut done = vec![None; plans.len()];
    let mut next = 0;
    let mut written: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    for i in order {
        let plan = &plans[i];
        let before = state.clone();
        let mut steps = vec![];
        for (write, key, meddle) in &plan.steps {
            let own = state.entry(*key).or_default();
            if *write {
                next += 1;
                own.push(next);
                written.entry(*key).or_default().push(next);
                steps.push((*key, Step::Write(next), *meddle));
            } else {
                let known = plan.outcome == Outcome::Ok;
                steps.push((*key, Step::Read(known.then(|| own.clone())), *meddle));
            }
        }
        let stays = plan.outcome == Outcome::Ok || plan.outcome == Outcome::Info && plan.happens;
        if !stays {
            state = before;
        }
        done[i] = Some(steps);
    }
    let txns = plans.iter().zip(done).map(|(plan, steps)| {
        let returned = (plan.outcome != Outcome::Info).then_some(plan.invoked + plan.took);
        let head = Transaction::new(plan.process, plan.invoked, returned, plan.outcome);
        let steps = steps.unwrap().into_iter().map(|(key, step, meddle)| {
            let Step::Read(Some(mut values)) = step else { return (key, step) };
            match meddle {
                Meddle::No => {}
                Meddle::Stale(n) => values.truncate(values.len().saturating_sub(n)),
                Meddle::Turned => values.reverse(),
                Meddle::Other(n) => {
                    let all = written.get(&key).cloned().unwrap_or_default();
                    if let Some(value) = all.get(n) {
                        values.retain(|v| v != value);
                        values.push(*value);
                    }
                }
            }
            (key, Step::Read(Some(values)))
        });
        Txn { head, steps: steps.collect() }
    });
    txns.collect()
}

/// As a history of this workload.
pub fn history(txns: &[Txn], workload: Workload) -> Transactions {
    let mut all = Transactions::new(true);
    for txn in txns {
        for (key, step) in &txn.steps {
            let key = all.intern(Name::Number(i64::from(*key)));
            let action = match (step, workload) {
                (Step::Write(value), Workload::ListAppend) => Action::Append(*value),
                (Step::Write(value), Workload::RwRegister) => Action::Write(*value),
                (Step::Read(None), _) => Action::Asked,
                (Step::Read(Some(values)), Workload::ListAppend) => Action::List(values),
                (Step::Read(Some(values)), Workload::RwRegister) => match values.last() {
                    Some(value) => Action::Value(*value),
                    None => Action::Nil,
                },
            };
            all.push(key, action);
        }
        all.add(txn.head);
    }
    all
}

/// What a serial order has to keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keeps {
    Nothing,
    Processes,
    /// The order in which a process began, whether it had ended the former or not.
    Sessions,
    Time,
}

impl Keeps {
    /// Whether the one has to be done before the other begins.
    pub fn precedes(self, one: (usize, &Txn), other: (usize, &Txn)) -> bool {
        let (a, b) = (&one.1.head, &other.1.head);
        let ended = a.outcome == Outcome::Ok && a.returned.is_some_and(|end| end < b.invoked);
        let begun = (a.invoked, one.0) < (b.invoked, other.0);
        match self {
            Keeps::Nothing => false,
            Keeps::Processes => a.process == b.process && ended,
            Keeps::Sessions => a.process == b.process && begun,
            Keeps::Time => ended,
        }
    }
}

/// Whether some serial order explains it. Who failed is not in it; whose outcome is unknown may be.
pub fn explained(txns: &[Txn], workload: Workload, keeps: Keeps) -> bool {
    let all: Vec<&Txn> = txns.iter().filter(|t| t.head.outcome != Outcome::Fail).collect();
    go(&all, &mut vec![false; all.len()], &BTreeMap::new(), workload, keeps)
}

fn go(
    all: &[&Txn],
    done: &mut Vec<bool>,
    state: &BTreeMap<u32, Vec<i64>>,
    workload: Workload,
    keeps: Keeps,
) -> bool {
    if all.iter().zip(&*done).all(|(t, done)| *done || t.head.outcome == Outcome::Info) {
        return true;
    }
    for i in 0..all.len() {
        if done[i] {
            continue;
        }
        // Nobody who has to come before may be left.
        let precedes = |j: usize| keeps.precedes((j, all[j]), (i, all[i]));
        if (0..all.len()).any(|j| j != i && !done[j] && precedes(j)) {
            continue;
        }
        let mut after = state.clone();
        let fits = runs(all[i], &mut after, workload);
        done[i] = true;
        if fits && go(all, done, &after, workload, keeps) {
            return true;
        }
        done[i] = false;
    }
    false
}

/// Whether it reads what it saw, run by itself on this state, which it leaves as it writes.
pub fn runs(txn: &Txn, state: &mut BTreeMap<u32, Vec<i64>>, workload: Workload) -> bool {
    txn.steps.iter().all(|(key, step)| {
        let own = state.entry(*key).or_default();
        match step {
            Step::Write(value) => {
                own.push(*value);
                true
            }
            Step::Read(None) => true,
            Step::Read(Some(saw)) => match workload {
                Workload::ListAppend => own == saw,
                Workload::RwRegister => own.last() == saw.last(),
            },
        }
    })
}
