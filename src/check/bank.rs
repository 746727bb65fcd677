//! Banks: the total of all accounts never changes and no account is overdrawn (Jepsen's `bank`
//! workload).
//!
//! There are as many accounts as the workload has keys, and each was opened with the same balance: a
//! first reading would be no measure, for it may be wrong itself. It is one only for histories that others
//! recorded, where nothing else is known. Snapshot isolation is enough to pass; what a later reading misses
//! is for `list-append`.

use std::collections::BTreeMap;

use super::view::{counted, possible, reply, settled};
use super::{Check, Finding, tell};
use crate::history::{Call, Key, OPENING_BALANCE, Operation, Record, Reply};

/// See the module.
#[derive(Debug, Default)]
pub struct Bank {
    /// What the accounts hold together.
    pub total: Total,
}

/// What the accounts of a bank hold together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Total {
    /// As many accounts as the workload has keys, each of which was opened with the balance that this project gives
    /// them.
    #[default]
    OfWorkload,
    /// As much as the first reading found, in as many accounts.
    OfFirst,
    /// This much, in as many accounts as the first reading found.
    Known(i64),
}

impl Check for Bank {
    fn name(&self) -> &'static str {
        "bank"
    }

    fn check(&self, record: &Record) -> Finding {
        let read = |o| match reply(o) {
            Some(Reply::Balances(balances)) => Some((o, balances)),
            _ => None,
        };
        let mut reads: Vec<_> = counted(record).filter_map(read).collect();
        reads.sort_by_key(|(o, _)| (o.returned, o.id));
        if reads.is_empty() {
            return Finding::inconclusive("the balances were never read");
        }
        let first = reads.first().map(|(_, balances)| *balances);
        let own = |of: &BTreeMap<Key, i64>| of.values().map(|v| i128::from(*v)).sum::<i128>();
        let keys = record.header.workload.keys;
        // `None`: as many as the workload has keys, whatever number that is.
        let opened: Option<Vec<Key>> = match self.total {
            Total::OfWorkload => None,
            Total::OfFirst | Total::Known(_) => first.map(|all| all.keys().copied().collect()),
        };
        let has_all = |balances: &BTreeMap<Key, i64>| match &opened {
            None => balances.keys().copied().eq(0..keys),
            Some(opened) => balances.keys().eq(opened),
        };
        let total = match self.total {
            Total::OfWorkload => i128::from(keys) * i128::from(OPENING_BALANCE),
            Total::OfFirst => first.map_or(0, own),
            Total::Known(total) => i128::from(total),
        };
        let mut bad: Vec<(String, &Operation)> = vec![];
        for (o, balances) in &reads {
            let sum = own(balances);
            if !has_all(balances) {
                let found = tell::count(balances.len(), "account");
                let (from, to) = match &opened {
                    None => (0, keys.saturating_sub(1)),
                    Some(all) => all.first().copied().zip(all.last().copied()).unwrap_or_default(),
                };
                let words = format!("{found} found, expected a{from} to a{to}");
                bad.push((words, *o));
            } else if sum != total {
                let what = if sum < total { "missing" } else { "made from nothing" };
                let by = (sum - total).abs();
                bad.push((format!("total {sum}, expected {total}: {by} {what}"), *o));
            } else if let Some((account, v)) = balances.iter().find(|(_, v)| **v < 0) {
                bad.push((format!("account a{account} is overdrawn: {v}"), *o));
            }
        }
        let n = tell::count(reads.len(), "reading");
        let finding = match bad.first() {
            None => Finding::pass(format!("{n} of the balances all total {total}")),
            Some((words, o)) => {
                let place = tell::place(record, o.invoked);
                let summary = format!("{words}, read at {}, {place}", o.invoked);
                let finding = Finding::fail(format!("{summary} ({} of {n} wrong)", bad.len()))
                    .with_evidence(["the first wrong reading:".to_string()])
                    .with_evidence([tell::operation(record, o)]);
                let meanwhile = tell::operations(record, meanwhile(record, o));
                match meanwhile.is_empty() {
                    true => finding,
                    false => finding
                        .with_evidence(["transfers in flight meanwhile:".to_string()])
                        .with_evidence(meanwhile),
                }
            }
        };
        finding.with_figure("wrong_readings", bad.len() as f64)
    }
}

/// The transfers that may have taken effect while the balances were read.
fn meanwhile<'a>(record: &'a Record, read: &Operation) -> impl Iterator<Item = &'a Operation> {
    let (begun, end) = (read.invoked, settled(read));
    counted(record)
        .filter(|o| matches!(o.call, Call::Transfer { .. }) && possible(o))
        .filter(move |o| o.invoked <= end && settled(o) >= begun)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::check::invented::{add, kill, ms, record};
    use crate::history::{Outcome, Time};

    fn bank(readings: &[&[i64]]) -> Record {
        let mut record = record("bank");
        record.header.workload.keys = 2;
        record.faults = vec![kill(0, ms(100.0), ms(200.0))];
        for (at, reading) in (0..).zip(readings) {
            let balances = (0..).zip(reading.iter().copied()).collect();
            let (from, to) = (Time(at * 1_000_000), Time(at * 1_000_000 + 500));
            let read = Outcome::Ok(Reply::Balances(balances));
            add(&mut record, 1, Call::Balances, from, to, read);
        }
        record
    }

    #[test]
    fn money_that_was_gone_before_the_first_reading_is_missed_all_the_same() {
        let finding = Bank::default().check(&bank(&[&[95, 100], &[90, 105]]));
        assert_eq!(finding.verdict, Verdict::Fail);
        let words =
            "total 195, expected 200: 5 missing, read at 0.000 s, 100 ms before fault 1: kill n1";
        assert!(finding.summary.starts_with(words), "{}", finding.summary);
        assert!(finding.summary.ends_with("(2 of 2 readings wrong)"), "{}", finding.summary);
    }

    #[test]
    fn where_nothing_is_known_the_first_reading_is_the_measure() {
        let verdict = |total, readings: &[&[i64]]| Bank { total }.check(&bank(readings)).verdict;
        assert_eq!(verdict(Total::OfFirst, &[&[10, 0, 5], &[5, 10, 0]]), Verdict::Pass);
        assert_eq!(verdict(Total::OfFirst, &[&[10, 0, 5], &[5, 10, 1]]), Verdict::Fail);
        assert_eq!(verdict(Total::OfFirst, &[&[10, 0], &[11, -1]]), Verdict::Fail);
        assert_eq!(verdict(Total::Known(15), &[&[10, 0, 5]]), Verdict::Pass);
        assert_eq!(verdict(Total::Known(16), &[&[10, 0, 5]]), Verdict::Fail);
    }

    #[test]
    fn an_account_that_is_not_there_is_told() {
        let finding = Bank::default().check(&bank(&[&[100, 100], &[200]]));
        let words = "1 account found, expected a0 to a1, read at 0.001 s";
        assert!(finding.summary.starts_with(words), "{}", finding.summary);
    }

    #[test]
    fn only_transfers_that_overlap_the_wrong_reading_are_shown() {
        let mut record = bank(&[&[100, 100], &[95, 100]]);
        for (amount, at) in [(5, 0.9), (6, 0.1), (7, 1.1)] {
            let call = Call::Transfer { from: 0, to: 1, amount };
            add(&mut record, 2, call, ms(at), ms(at + 0.2), Outcome::Ok(Reply::Done));
        }
        let evidence = Bank::default().check(&record).evidence.join("\n");
        assert!(evidence.contains("transfer 5 from a0 to a1"), "{evidence}");
        assert_eq!(evidence.matches("transfer ").count(), 1, "{evidence}");
    }
}
