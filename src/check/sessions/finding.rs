//! What was found of the guarantees that were asked for, as the verdict of a check.

use super::{Guarantee, Outcome, check};
use crate::check::view::counted;
use crate::check::{Check, Finding, tell};
use crate::history::{Call, Operation, Record};

/// Registers keep these guarantees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessions(pub Vec<Guarantee>);

impl Check for Sessions {
    fn name(&self) -> &'static str {
        "sessions"
    }

    fn check(&self, record: &Record) -> Finding {
        let register = |o: &&Operation| {
            matches!(o.call, Call::Read { .. } | Call::Write { .. } | Call::Cas { .. })
        };
        let operations: Vec<&Operation> = counted(record).filter(register).collect();
        if !operations.iter().any(|o| o.outcome.is_ok()) {
            return Finding::inconclusive("no register was read or written");
        }
        let (mut broken, mut undecided) = (vec![], vec![]);
        for guarantee in &self.0 {
            match check(&operations, *guarantee) {
                Outcome::Holds => {}
                Outcome::Violated { words, operations: shown } => {
                    let shown = shown.iter().filter_map(|at| operations.get(*at).copied());
                    broken.push((guarantee.name(), words, shown.collect::<Vec<_>>()));
                }
                Outcome::Undecided(why) => undecided.push(format!("{}: {why}", guarantee.name())),
            }
        }
        let names: Vec<&str> = self.0.iter().map(|guarantee| guarantee.name()).collect();
        let finding = match (broken.first(), undecided.first()) {
            (Some((name, words, shown)), _) => {
                let last = shown.iter().max_by_key(|o| o.invoked);
                let during = last.and_then(|o| tell::during(record, o));
                let during = during.map(|fault| format!(", during {}", tell::fault(fault)));
                let more = match broken.len() - 1 {
                    0 => String::new(),
                    _ => {
                        let others = broken[1..].iter().map(|(name, ..)| *name);
                        format!(" (and {} neither)", others.collect::<Vec<_>>().join(", "))
                    }
                };
                let during = during.unwrap_or_default();
                Finding::fail(format!("{name} does not hold: {words}{during}{more}"))
            }
            (None, Some(why)) => Finding::inconclusive(why.clone()),
            (None, None) => {
                let n = tell::count(operations.len(), "operation");
                Finding::pass(format!("{n} keep {}", names.join(", ")))
            }
        };
        let lines = broken.iter().flat_map(|(name, words, shown)| {
            let head = format!("{name}: {words}:");
            std::iter::once(head).chain(tell::operations(record, shown.iter().copied()))
        });
        finding
            .with_evidence(lines)
            .with_figure("operations", operations.len() as f64)
            .with_figure("broken_guarantees", broken.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::history::{Outcome, Reply, Time};

    fn record(found: i64) -> Record {
        let op = |process, call, at, reply| {
            Operation::new(process, call, Time(at), Some(Time(at + 1)), Outcome::Ok(reply))
        };
        let write = |value| Call::Write { key: 0, value };
        let read = Call::Read { key: 0 };
        Record::of_operations(
            "register",
            vec![
                op(1, write(1), 0, Reply::Done),
                op(1, write(2), 2, Reply::Done),
                op(1, read, 4, Reply::Value(Some(found))),
            ],
        )
    }

    #[test]
    fn what_is_broken_is_named_with_its_operations() {
        let all = Sessions(Guarantee::ALL.to_vec());
        let kept = all.check(&record(2));
        assert_eq!((kept.verdict, kept.evidence.len()), (Verdict::Pass, 0));
        let broken = all.check(&record(1));
        assert_eq!(broken.verdict, Verdict::Fail);
        assert!(broken.summary.starts_with("read-your-writes does not hold: "), "{broken:?}");
        assert!(broken.summary.ends_with(" (and pram, causal neither)"), "{broken:?}");
        assert!(broken.evidence.iter().any(|line| line.contains("write k0 = 2")), "{broken:?}");
        let other = Sessions(vec![Guarantee::MonotonicReads]).check(&record(1));
        assert_eq!(other.verdict, Verdict::Pass);
        let none = all.check(&Record::of_operations("register", vec![]));
        assert_eq!(none.verdict, Verdict::Inconclusive);
    }
}
