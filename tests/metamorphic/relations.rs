//! What may be done to a history, and what becomes of its verdict.

use crate::history::{Chance, End, Event, History, Rename, Subject};

/// What a change does to a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// It stays.
    Verdict,
    /// A valid history does not become invalid.
    Valid,
    /// An invalid history stays so.
    Invalid,
}

/// A change. `None`: there is nothing to change so.
pub type Change<S> =
    fn(&S, &mut Chance, &[Event<<S as Subject>::Call>]) -> Option<History<<S as Subject>::Call>>;

/// All of them.
pub fn relations<S: Subject>() -> Vec<(&'static str, Keeps, Change<S>)> {
    vec![
        ("all instants later", Keeps::Verdict, |_, chance, h| {
            let by = chance.below(1 << 40);
            Some(timed(h, |t| t + by))
        }),
        ("time stretched", Keeps::Verdict, |_, chance, h| {
            let by = 2 + chance.below(1000);
            Some(timed(h, |t| t * by))
        }),
        ("other clients", Keeps::Verdict, |_, chance, h| {
            let by = chance.below(64) as u32;
            Some(changed(h, |e| e.client = (e.client ^ by) + 100))
        }),
        ("other keys", Keeps::Verdict, |s, chance, h| {
            let by = chance.below(8) as i64;
            renamed(s, h, &|key| key ^ by, &|value| value)
        }),
        ("other values", Keeps::Verdict, |s, chance, h| {
            let by = 1 + chance.below(1000) as i64;
            match s.is_ordered() || chance.one_in(2) {
                true => renamed(s, h, &|key| key, &|value| value * 3 + by),
                // A bijection that keeps no order.
                false => renamed(s, h, &|key| key, &|value| value ^ by),
            }
        }),
        ("written down in another order", Keeps::Verdict, |_, chance, h| Some(shuffled(chance, h))),
        ("longer intervals", Keeps::Valid, |_, chance, h| Some(widened(chance, h))),
        ("shorter intervals", Keeps::Invalid, |_, chance, h| {
            Some(changed(h, |e| {
                let (a, b) = (chance.below(e.to - e.from + 1), chance.below(e.to - e.from + 1));
                (e.from, e.to) = (e.from + a.min(b), e.from + a.max(b));
            }))
        }),
        ("without what did not happen", Keeps::Valid, |_, chance, h| {
            without(chance, h, |e| matches!(e.end, End::Fail | End::Unknown { happened: false }))
        }),
        ("without what failed", Keeps::Invalid, |_, chance, h| {
            without(chance, h, |e| e.end == End::Fail)
        }),
        ("without a read", Keeps::Valid, |s, chance, h| {
            without(chance, h, |e| {
                if e.end == End::Ok { s.reads(&e.call) } else { s.only_asks(&e.call) }
            })
        }),
        ("without a read that nobody knows of", Keeps::Verdict, |s, chance, h| {
            without(chance, h, |e| s.only_asks(&e.call) && matches!(e.end, End::Unknown { .. }))
        }),
        ("an outcome that nobody knows", Keeps::Valid, |_, chance, h| {
            let mut h = h.to_vec();
            let at = any(chance, &h, |e| e.end == End::Ok)?;
            h[at].end = End::Unknown { happened: true };
            // Whoever knows of no outcome does not go on.
            let (client, from) = (h[at].client, h[at].from);
            h.iter_mut()
                .filter(|e| e.client == client && e.from > from)
                .for_each(|e| e.client += 1000);
            Some(h)
        }),
        ("again, later, of other keys", Keeps::Verdict, |s, _, h| {
            let end = h.iter().map(|e| e.to).max()? + 1;
            again(s, h, end)
        }),
        ("twice at once, of other keys", Keeps::Verdict, |s, _, h| again(s, h, 1)),
    ]
}

fn changed<C: Clone>(history: &[Event<C>], change: impl FnMut(&mut Event<C>)) -> History<C> {
    let mut history = history.to_vec();
    history.iter_mut().for_each(change);
    history
}

fn timed<C: Clone>(history: &[Event<C>], time: impl Fn(u64) -> u64) -> History<C> {
    changed(history, |e| (e.from, e.to) = (time(e.from), time(e.to)))
}

fn renamed<S: Subject>(
    subject: &S,
    history: &[Event<S::Call>],
    key: Rename,
    value: Rename,
) -> Option<History<S::Call>> {
    let one = |e: &Event<S::Call>| {
        Some(Event { call: subject.renamed(&e.call, key, value)?, ..e.clone() })
    };
    history.iter().map(one).collect()
}

/// Those of one client keep their order: without clocks, that is the order of a session.
fn shuffled<C: Clone>(chance: &mut Chance, history: &[Event<C>]) -> History<C> {
    let mut history = history.to_vec();
    for _ in 0..4 * history.len() {
        let at = chance.place(history.len());
        if at > 0 && history[at - 1].client != history[at].client {
            history.swap(at - 1, at);
        }
    }
    history
}

/// Within the time in which the client does nothing else.
fn widened<C: Clone>(chance: &mut Chance, history: &[Event<C>]) -> History<C> {
    let mut all = history.to_vec();
    for at in 0..all.len() {
        let (client, from, to) = (all[at].client, all[at].from, all[at].to);
        let own = || all.iter().enumerate().filter(|(i, e)| *i != at && e.client == client);
        let before = own().filter(|(_, e)| e.to < from).map(|(_, e)| e.to + 1).max().unwrap_or(0);
        let after = own().filter(|(_, e)| e.from > to).map(|(_, e)| e.from - 1).min();
        let after = after.unwrap_or(to + 10_000);
        all[at].from = from - chance.below((from - before).min(10_000) + 1);
        all[at].to = to + chance.below(after - to + 1);
    }
    all
}

fn any<C>(
    chance: &mut Chance,
    history: &[Event<C>],
    suits: impl Fn(&Event<C>) -> bool,
) -> Option<usize> {
    let all: Vec<usize> = (0..history.len()).filter(|at| suits(&history[*at])).collect();
    (!all.is_empty()).then(|| all[chance.place(all.len())])
}

fn without<C: Clone>(
    chance: &mut Chance,
    history: &[Event<C>],
    suits: impl Fn(&Event<C>) -> bool,
) -> Option<History<C>> {
    let at = any(chance, history, suits)?;
    let mut history = history.to_vec();
    history.remove(at);
    Some(history)
}

/// Beside itself, so much later, of other keys, with other values and by other clients.
fn again<S: Subject>(
    subject: &S,
    history: &[Event<S::Call>],
    later: u64,
) -> Option<History<S::Call>> {
    if !subject.has_keys() {
        return None;
    }
    let other = renamed(subject, history, &|key| key + 64, &|value| value + 1_000_000)?;
    let other = changed(&other, |e| {
        (e.client, e.from, e.to) = (e.client + 5000, e.from + later, e.to + later);
    });
    Some([history.to_vec(), other].concat())
}
