//! The steps in an order in which everything is found after it was written, with vector clocks: for each session, up to
//! which step of it (exclusive) is known.

use super::steps::{History, Kind, NOTHING};

/// At most so many entries are in all clocks at once: 512 MiB.
const CLOCKS_MAX: usize = 1 << 27;

type Clock = Box<[u32]>;

/// What a read knows, and what the write that it found knew.
pub struct Seen<'a> {
    pub read: u32,
    pub clock: &'a [u32],
    /// Empty: it found nothing.
    pub known: &'a [u32],
}

struct Walk<'a> {
    history: &'a History<'a>,
    /// Whether a session knows its own steps. Else it knows of them only what comes back to it.
    own: bool,
    /// What each write that is still to be found knew.
    clocks: Vec<Option<Clock>>,
    /// How often each is still to be found.
    uses: Vec<u32>,
    /// Clocks of sessions that have begun and not ended.
    current: Vec<Option<Clock>>,
    next: Vec<u32>,
    /// The first session that waits for a write, and for each session the next that waits for the same.
    waiting: Vec<u32>,
    also: Vec<u32>,
    live: usize,
}

/// Tells each read. `false`: some could not be reached, since what is found and what follows it go round in a circle.
pub fn walk(
    history: &History,
    own: bool,
    mut tell: impl FnMut(Seen) -> Result<(), String>,
) -> Result<bool, String> {
    let (steps, sessions) = (history.steps.len(), history.sessions());
    let mut uses = vec![0; steps];
    for write in (0..steps as u32).filter_map(|step| history.found(step)) {
        uses[write as usize] += 1;
    }
    let next = history.starts[..sessions].to_vec();
    let (clocks, current) = (vec![None; steps], vec![None; sessions]);
    let (waiting, also) = (vec![NOTHING; steps], vec![NOTHING; sessions]);
    let mut walk = Walk { history, own, clocks, uses, current, next, waiting, also, live: 0 };
    let mut ready: Vec<u32> = (0..sessions as u32).rev().collect();
    while let Some(session) = ready.pop() {
        walk.session(session, &mut ready, &mut tell)?;
    }
    let done = |session: &u32| walk.next[*session as usize] == history.session(*session).end;
    Ok((0..sessions as u32).all(|session| done(&session)))
}

impl Walk<'_> {
    /// Goes on with a session until it ends or must wait.
    fn session(
        &mut self,
        session: u32,
        ready: &mut Vec<u32>,
        tell: &mut impl FnMut(Seen) -> Result<(), String>,
    ) -> Result<(), String> {
        let (s, end) = (session as usize, self.history.session(session).end);
        let mut clock = self.begin(s);
        while self.next[s] < end {
            let step = self.next[s];
            if self.own {
                clock[s] = step;
            }
            match self.history.step(step).kind {
                Kind::Write => {
                    self.keep(step, s, &clock)?;
                    self.wake(step, ready);
                }
                Kind::Read(NOTHING) => tell(Seen { read: step, clock: &clock, known: &[] })?,
                Kind::Read(from) => {
                    let writer = self.history.step(from).session;
                    if self.next[writer as usize] <= from {
                        self.also[s] = std::mem::replace(&mut self.waiting[from as usize], session);
                        break;
                    }
                    let known = self.clocks[from as usize].as_deref().unwrap_or_default();
                    tell(Seen { read: step, clock: &clock, known })?;
                    clock.iter_mut().zip(known).for_each(|(own, other)| *own = (*own).max(*other));
                    self.used(from);
                }
            }
            self.next[s] += 1;
        }
        match self.next[s] < end {
            true => self.current[s] = Some(clock),
            false => self.live -= 1,
        }
        Ok(())
    }

    fn begin(&mut self, session: usize) -> Clock {
        self.current[session].take().unwrap_or_else(|| {
            self.live += 1;
            vec![0; self.history.sessions()].into()
        })
    }

    /// Keeps what a write knew, with itself, for those who find it.
    fn keep(&mut self, write: u32, session: usize, clock: &[u32]) -> Result<(), String> {
        if self.uses[write as usize] == 0 {
            return Ok(());
        }
        let mut kept: Clock = clock.into();
        kept[session] = write + 1;
        self.clocks[write as usize] = Some(kept);
        self.live += 1;
        if self.live.saturating_mul(clock.len()) > CLOCKS_MAX {
            let most = CLOCKS_MAX >> 18;
            return Err(format!("the clocks of {} sessions need over {most} MiB", clock.len()));
        }
        Ok(())
    }

    fn used(&mut self, write: u32) {
        self.uses[write as usize] -= 1;
        if self.uses[write as usize] == 0 {
            self.clocks[write as usize] = None;
            self.live -= 1;
        }
    }

    fn wake(&mut self, write: u32, ready: &mut Vec<u32>) {
        let mut waits = self.waiting[write as usize];
        while waits != NOTHING {
            ready.push(waits);
            waits = self.also[waits as usize];
        }
    }
}
