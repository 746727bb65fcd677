//! A system whose outage is known to the nanosecond: it begins when the fault is applied, and follows a
//! script. It drills in virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use firedrill::condition::{Condition, Life};
use firedrill::history::{Call, Outcome, Process, Reply};
use firedrill::inventory::{Inventory, Node, NodeId};
use firedrill::target::{Notice, Proof, Target, TargetError};
use firedrill::workload::client::{Client, ClientError, Driver};
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// What the system does to clients while it is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It does not answer at all.
    Silent,
    /// It refuses at once.
    FailFast,
    /// It answers, but only after this long.
    Slow(Duration),
}

/// When it is out, counted from the injection, and how.
#[derive(Debug, Clone)]
pub struct Script {
    /// The spans of outage: from, to.
    pub out: Vec<(Duration, Duration)>,
    /// What it does then.
    pub manner: Manner,
    /// How long an operation takes in good times.
    pub service: Duration,
}

impl Script {
    /// One outage from the injection on.
    pub fn once(manner: Manner, length: Duration) -> Script {
        Script { out: vec![(Duration::ZERO, length)], manner, service: Duration::from_millis(2) }
    }
}

/// The system: registers, and a switch that the fault throws.
pub struct System {
    /// What it does.
    pub script: Script,
    /// How many acknowledged writes it forgets when the fault comes.
    pub forgets: usize,
    injected: Mutex<Option<Instant>>,
    data: Mutex<BTreeMap<u32, Vec<i64>>>,
    notices: Mutex<Option<mpsc::UnboundedSender<Notice>>>,
}

impl System {
    pub fn new(script: Script, forgets: usize) -> Arc<System> {
        Arc::new(System {
            script,
            forgets,
            injected: Mutex::new(None),
            data: Mutex::default(),
            notices: Mutex::default(),
        })
    }

    /// Whether an operation that reaches the system now meets the outage.
    fn is_out(&self) -> bool {
        let Some(injected) = *self.injected.lock().unwrap() else { return false };
        let since = injected.elapsed();
        self.script.out.iter().any(|(from, to)| *from <= since && since < *to)
    }

    /// Sets: what is inserted, what is there.
    fn answer(&self, call: &Call) -> Reply {
        let mut data = self.data.lock().unwrap();
        match call {
            Call::Insert { key, element } => {
                data.entry(*key).or_default().push(*element);
                Reply::Done
            }
            Call::Elements { key } => Reply::Values(data.get(key).cloned().unwrap_or_default()),
            other => panic!("the scripted system knows sets only, not {other:?}"),
        }
    }

    fn forget(&self) {
        let mut data = self.data.lock().unwrap();
        let mut left = self.forgets;
        for elements in data.values_mut() {
            let n = left.min(elements.len());
            elements.truncate(elements.len() - n);
            left -= n;
        }
        assert_eq!(left, 0, "there was not enough to forget");
    }
}

/// The nodes of the system, of which only the switch is real.
pub struct ScriptedTarget(pub Arc<System>);

pub fn inventory() -> Inventory {
    let node = |id: &str| Node { id: id.into(), zone: "dc1".into(), endpoints: BTreeMap::new() };
    Inventory::new(["n1", "n2", "n3"].map(node).to_vec())
}

impl Target for ScriptedTarget {
    fn inventory(&self) -> Inventory {
        inventory()
    }
    fn start(&self) -> BoxFuture<'_, Result<Inventory, TargetError>> {
        Box::pin(async { Ok(inventory()) })
    }
    fn notices(&self) -> mpsc::UnboundedReceiver<Notice> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.0.notices.lock().unwrap() = Some(sender);
        receiver
    }
    fn apply<'a>(
        &'a self,
        _: &'a NodeId,
        condition: &'a Condition,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            if condition.life == Life::Killed {
                // The order takes a while to arrive, and its return takes a while too.
                sleep(Duration::from_millis(2)).await;
                *self.0.injected.lock().unwrap() = Some(Instant::now());
                self.0.forget();
                sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        })
    }
    fn prove<'a>(&'a self, _: &'a NodeId) -> BoxFuture<'a, Proof> {
        Box::pin(async {
            sleep(Duration::from_millis(5)).await;
            Proof { measured: vec!["the switch is thrown".into()], unproven: None, lapses: vec![] }
        })
    }
    fn stop(&self) -> BoxFuture<'_, Vec<String>> {
        self.0.notices.lock().unwrap().take();
        Box::pin(async { vec![] })
    }
}

/// Clients of the system.
pub struct ScriptedDriver {
    pub system: Arc<System>,
    pub timeout: Duration,
}

struct ScriptedClient {
    system: Arc<System>,
    timeout: Duration,
}

impl Client for ScriptedClient {
    fn invoke<'a>(&'a mut self, call: &'a Call) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let answered = timeout(self.timeout, async {
                let half = self.system.script.service / 2;
                sleep(half).await;
                if self.system.is_out() {
                    match self.system.script.manner {
                        Manner::Silent => std::future::pending::<()>().await,
                        Manner::FailFast => return Outcome::Fail("refused".into()),
                        Manner::Slow(extra) => sleep(extra).await,
                    }
                }
                let reply = self.system.answer(call);
                sleep(half).await;
                Outcome::Ok(reply)
            });
            answered.await.unwrap_or_else(|_| Outcome::Unknown("time-out".into()))
        })
    }
    fn node(&self, _call: &Call) -> Option<NodeId> {
        None
    }
}

impl Driver for ScriptedDriver {
    fn client(&self, _: Process) -> Result<Box<dyn Client>, ClientError> {
        Ok(Box::new(ScriptedClient { system: self.system.clone(), timeout: self.timeout }))
    }
    fn prepare(&self) -> BoxFuture<'_, Result<(), ClientError>> {
        Box::pin(async { Ok(()) })
    }
    fn leader(&self) -> BoxFuture<'_, Option<NodeId>> {
        Box::pin(async { Some("n1".into()) })
    }
    fn read_replica<'a>(&'a self, _: &'a NodeId, call: &'a Call) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async move { Some(Outcome::Ok(self.system.answer(call))) })
    }
}
