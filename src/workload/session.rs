//! A worker's side of a client: its identity, its patience, and what becomes of both when an outcome is unknown.
//!
//! Invariant: whatever the client does (hangs, panics, cannot be made), each call has one outcome. After an
//! unknown one its identity is retired: that operation may still take effect, so nobody may use its name again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;

use super::client::{Client, ClientError, Driver};
use crate::history::{Call, Outcome, Process};
use crate::inventory::NodeId;
use crate::quantity::Span;

/// How much longer than its time-out a client may take before it counts as hung.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);

/// What sessions have in common: the driver, the identities, what went wrong.
pub(super) struct Sessions {
    driver: Arc<dyn Driver>,
    timeout: Duration,
    next: AtomicU32,
    panics: AtomicU64,
    not_made: AtomicU64,
}

impl Sessions {
    /// Sessions whose identities are counted from `first`.
    pub(super) fn new(driver: Arc<dyn Driver>, timeout: Duration, first: Process) -> Sessions {
        Sessions {
            driver,
            timeout,
            next: AtomicU32::new(first),
            panics: AtomicU64::new(0),
            not_made: AtomicU64::new(0),
        }
    }
    /// The first identity that nobody has had.
    pub(super) fn next_process(&self) -> Process {
        self.next.load(Ordering::Relaxed)
    }
    /// How many clients panicked.
    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
    /// How often a client could not be made.
    pub(super) fn not_made(&self) -> u64 {
        self.not_made.load(Ordering::Relaxed)
    }
    pub(super) fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    /// Awaits an answer for as long as patience lasts, and `more`; hanging and panicking are unknown outcomes.
    pub(super) async fn patiently<T>(
        &self,
        answer: impl Future<Output = T>,
        more: Duration,
        unknown: impl FnOnce(Outcome) -> T,
    ) -> T {
        let guarded = AssertUnwindSafe(answer).catch_unwind();
        match tokio::time::timeout(self.timeout + more + PATIENCE, guarded).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => {
                self.panics.fetch_add(1, Ordering::Relaxed);
                let text = panic_text(&*panic);
                tracing::error!("a client panicked: {text}");
                unknown(Outcome::Unknown(format!("the client panicked: {text}").into()))
            }
            Err(_) => {
                unknown(Outcome::Unknown(format!("time-out after {}", Span(self.timeout)).into()))
            }
        }
    }

    fn make(&self, process: Process) -> Result<Box<dyn Client>, Arc<str>> {
        let made = std::panic::catch_unwind(AssertUnwindSafe(|| self.driver.client(process)));
        let why = match made {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(ClientError { client, why })) => format!("client `{client}`: {why}"),
            Err(panic) => {
                self.panics.fetch_add(1, Ordering::Relaxed);
                format!("making a client panicked: {}", panic_text(&*panic))
            }
        };
        self.not_made.fetch_add(1, Ordering::Relaxed);
        tracing::error!("no client for process {process}: {why}");
        Err(why.into())
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// One worker's identity and client.
pub(super) struct Session {
    all: Arc<Sessions>,
    process: Process,
    client: Result<Box<dyn Client>, Arc<str>>,
}

impl Session {
    pub(super) fn open(all: &Arc<Sessions>) -> Session {
        let process = all.next.fetch_add(1, Ordering::Relaxed);
        let client = all.make(process);
        Session { all: Arc::clone(all), process, client }
    }
    pub(super) fn process(&self) -> Process {
        self.process
    }
    pub(super) fn node(&self, call: &Call) -> Option<NodeId> {
        let client = self.client.as_ref().ok()?;
        std::panic::catch_unwind(AssertUnwindSafe(|| client.node(call))).ok().flatten()
    }

    /// Asks. A call for which there is no client fails: it was never sent.
    pub(super) async fn invoke(&mut self, call: &Call) -> Outcome {
        match &mut self.client {
            Ok(client) => {
                let starting = client.starting();
                let answer = async { client.invoke(call).await };
                self.all.patiently(answer, starting, |unknown| unknown).await
            }
            Err(why) => Outcome::Fail(Arc::clone(why)),
        }
    }

    /// Makes ready for the next call: after an unknown outcome with a new identity and a new client, and
    /// where there was no client with another attempt at one. Returns whether the identity was retired.
    pub(super) fn renew(&mut self, last: &Outcome) -> bool {
        let retire = matches!(last, Outcome::Unknown(_));
        if retire {
            self.client = Err("being replaced".into()); // the old one goes before the new one comes
            *self = Session::open(&self.all);
        } else if self.client.is_err() {
            self.client = self.all.make(self.process);
        }
        retire
    }
}
