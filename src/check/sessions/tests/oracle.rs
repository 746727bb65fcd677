//! The definitions of the module as they stand: every arbitration is tried, and for each read every set of visible
//! writes.

use crate::check::sessions::Guarantee;
use crate::history::{Call, Operation, Outcome as End, Reply};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Write,
    /// The place of the write; `None`: it found nothing.
    Read(Option<usize>),
}

struct Act {
    operation: usize,
    session: usize,
    key: u32,
    does: Does,
}

/// Acts in an order that keeps that of each session.
struct Acts(Vec<Act>);

fn value_read(o: &Operation) -> Option<(u32, Option<i64>)> {
    match (&o.call, &o.outcome) {
        (Call::Read { key }, End::Ok(Reply::Value(value))) => Some((*key, *value)),
        (Call::Cas { key, from, .. }, _) => Some((*key, Some(*from))),
        _ => None,
    }
}

fn value_written(o: &Operation) -> Option<(u32, i64)> {
    match &o.call {
        Call::Write { key, value } => Some((*key, *value)),
        Call::Cas { key, to, .. } => Some((*key, *to)),
        _ => None,
    }
}

/// `None`: something was read that cannot have been.
fn acts(operations: &[Operation]) -> Option<Acts> {
    let may = |o: &Operation| {
        value_written(o).is_some()
            && !matches!(o.outcome, End::Fail(_) | End::Ok(Reply::Swapped(false)))
    };
    let mut happened: Vec<bool> = operations.iter().map(|o| may(o) && o.outcome.is_ok()).collect();
    for _ in operations {
        for (i, writer) in operations.iter().enumerate() {
            let found = |(j, o): (usize, &Operation)| {
                (happened[j] || o.call.is_read())
                    && value_read(o)
                        .is_some_and(|(key, v)| v.map(|v| (key, v)) == value_written(writer))
            };
            if may(writer) && operations.iter().enumerate().any(found) {
                happened[i] = true;
            }
        }
    }
    let (mut all, mut of) = (vec![], vec![]);
    let mut turns = [0; 10];
    for (i, o) in operations.iter().enumerate() {
        let session = o.process as usize * 100 + turns[o.process as usize];
        if let Some((key, _)) = value_read(o).filter(|_| happened[i] || o.call.is_read()) {
            all.push(Act { operation: i, session, key, does: Does::Read(None) });
            of.push(i);
        }
        if let Some((key, _)) = value_written(o).filter(|_| happened[i]) {
            all.push(Act { operation: i, session, key, does: Does::Write });
            of.push(i);
        }
        if matches!(o.outcome, End::Unknown(_)) && !o.call.is_read() {
            turns[o.process as usize] += 1;
        }
    }
    for at in 0..all.len() {
        let Some((key, Some(value))) = value_read(&operations[of[at]]) else { continue };
        if all[at].does == Does::Write {
            continue;
        }
        let writes = |b: &usize| {
            all[*b].does == Does::Write && value_written(&operations[of[*b]]) == Some((key, value))
        };
        let from = (0..all.len()).find(writes)?;
        if all[from].session == all[at].session && from > at {
            return None;
        }
        all[at].does = Does::Read(Some(from));
    }
    Some(Acts(all))
}

type Relation = Vec<Vec<bool>>;

fn closure(mut relation: Relation) -> Relation {
    let n = relation.len();
    for k in 0..n {
        for a in 0..n {
            for b in 0..n {
                relation[a][b] |= relation[a][k] && relation[k][b];
            }
        }
    }
    relation
}

impl Acts {
    fn relation(&self, holds: impl Fn(usize, usize) -> bool) -> Relation {
        let n = self.0.len();
        (0..n).map(|a| (0..n).map(|b| holds(a, b)).collect()).collect()
    }
    fn so(&self, a: usize, b: usize) -> bool {
        self.0[a].session == self.0[b].session && a < b
    }
    fn found(&self, write: usize, read: usize) -> bool {
        self.0[read].does == Does::Read(Some(write))
    }
    fn write(&self, a: usize) -> bool {
        self.0[a].does == Does::Write
    }
    fn read(&self, a: usize) -> bool {
        !self.write(a)
    }
    /// The second is the writing of a compare-and-set that found the first.
    fn swapped(&self, a: usize, b: usize) -> bool {
        let one = |r: usize| self.0[r].operation == self.0[b].operation;
        self.write(b) && self.any(|r| one(r) && self.found(a, r))
    }
    fn any(&self, is: impl Fn(usize) -> bool) -> bool {
        (0..self.0.len()).any(is)
    }

    /// What comes before what, by the third column of the table.
    fn keeps(&self, guarantee: Guarantee) -> Relation {
        let causes = |all: bool| {
            closure(self.relation(|a, b| {
                self.found(a, b) || self.so(a, b) && (all || self.read(a) && self.write(b))
            }))
        };
        match guarantee {
            Guarantee::MonotonicWrites | Guarantee::Pram => self.relation(|a, b| self.so(a, b)),
            Guarantee::WritesFollowReads => causes(false),
            Guarantee::Causal => causes(true),
            _ => self.relation(|_, _| false),
        }
    }

    /// Which write must be visible to which read, by the second column.
    fn visible(&self, guarantee: Guarantee) -> Relation {
        let own = |w, r| self.so(w, r);
        let seen = |w, r| self.any(|r0| self.found(w, r0) && self.so(r0, r));
        let up_to = |r0, r| r0 == r || self.so(r0, r);
        let brought = |w, r| {
            self.any(|w2| {
                self.write(w2)
                    && self.so(w, w2)
                    && self.any(|r0| self.found(w2, r0) && up_to(r0, r))
            })
        };
        // The finder's reads before what it wrote, and what led to what they found.
        let led =
            closure(self.relation(|w, w2| {
                self.write(w2) && self.any(|r| self.found(w, r) && self.so(r, w2))
            }));
        let followed = |w: usize, r| {
            self.any(|w2| led[w][w2] && self.any(|r0| self.found(w2, r0) && up_to(r0, r)))
        };
        let before = self.keeps(Guarantee::Causal);
        self.relation(|w, r| {
            self.write(w)
                && self.read(r)
                && match guarantee {
                    Guarantee::ReadYourWrites => own(w, r),
                    Guarantee::MonotonicReads => seen(w, r),
                    Guarantee::MonotonicWrites => brought(w, r),
                    Guarantee::WritesFollowReads => followed(w, r),
                    Guarantee::Pram => own(w, r) || seen(w, r) || brought(w, r),
                    Guarantee::Causal => before[w][r],
                }
        })
    }

    /// Whether this arbitration, and some visible writes, explain all reads.
    fn explains(&self, order: &[usize], keeps: &Relation, must: &Relation) -> bool {
        let kept = |(i, a): (usize, &usize)| {
            order[..i].iter().all(|b| {
                let same =
                    self.0[*a].session == self.0[*b].session && self.0[*a].key == self.0[*b].key;
                !(keeps[*a][*b] || same && a < b || self.swapped(*a, *b))
            })
        };
        if !order.iter().enumerate().all(kept) {
            return false;
        }
        (0..self.0.len()).all(|read| match self.0[read].does {
            Does::Write => true,
            Does::Read(found) => self.is_explained(order, must, read, found),
        })
    }

    fn is_explained(
        &self,
        order: &[usize],
        must: &Relation,
        read: usize,
        found: Option<usize>,
    ) -> bool {
        let own: Vec<usize> =
            order.iter().copied().filter(|w| self.0[*w].key == self.0[read].key).collect();
        (0..1_u32 << own.len()).any(|set| {
            let visible = |i: usize| set & (1 << i) != 0;
            let enough = (0..own.len()).all(|i| visible(i) || !must[own[i]][read]);
            let last = (0..own.len()).rev().find(|i| visible(*i)).map(|i| own[i]);
            enough && last == found
        })
    }
}

/// Whether the history keeps the guarantee.
pub fn keeps(operations: &[Operation], guarantee: Guarantee) -> bool {
    let Some(acts) = acts(operations) else { return false };
    let writes: Vec<usize> = (0..acts.0.len()).filter(|a| acts.write(*a)).collect();
    let (keeps, must) = (acts.keeps(guarantee), acts.visible(guarantee));
    any_order(&mut vec![], &writes, &|order| acts.explains(order, &keeps, &must))
}

fn any_order(begun: &mut Vec<usize>, all: &[usize], is: &dyn Fn(&[usize]) -> bool) -> bool {
    if begun.len() == all.len() {
        return is(begun);
    }
    all.iter().any(|next| {
        if begun.contains(next) {
            return false;
        }
        begun.push(*next);
        let found = any_order(begun, all, is);
        begun.pop();
        found
    })
}
