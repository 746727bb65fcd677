//! Measures whether what was asked of a node is in effect: its life as the cluster and its port tell it, its network
//! by its agent and those of its peers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};

use super::member::{Known, Member};
use super::pod::State;
use super::up::Up;
use crate::agent::beside::connect::connect;
use crate::agent::beside::probe::Prober;
use crate::agent::beside::protocol::Connect;
use crate::agent::within::protocol::{Done, Order};
use crate::condition::Life;
use crate::control::judge::{Finding, ms, right, wrong};
use crate::control::{Field, Standing};
use crate::inventory::NodeId;
use crate::target::Proof;

/// How long nobody must answer where a pod was, for its process to be gone.
const SILENCE: Duration = Duration::from_millis(300);

impl Field for Up {
    fn nodes(&self) -> Vec<NodeId> {
        self.members.keys().cloned().collect()
    }

    fn standing<'a>(&'a self, id: &'a NodeId) -> BoxFuture<'a, Option<Standing>> {
        async move {
            // One after the other: who held one while waiting for the other could wait for ever.
            let known = self.members.get(id)?.state.lock().await;
            Some(Standing { place: known.place(), agent: known.flank.agent.clone() })
        }
        .boxed()
    }

    fn ports(&self) -> &BTreeMap<String, u16> {
        &self.options.ports
    }

    fn prober(&self) -> Option<&Prober> {
        (!self.forwarded).then_some(&self.prober)
    }
}

impl Up {
    /// Measures what was asked of a node.
    pub(super) async fn prove(&self, member: &Member) -> Proof {
        // A copy: a measurement must not keep the next change waiting.
        let known = {
            let mut known = member.state.lock().await;
            member.look(&mut known);
            known.clone()
        };
        let mut findings = self.prove_life(member, &known).await;
        findings.extend(self.prove_place(member, &known).await);
        findings.extend(member.prove_within(&known).await);
        let (network, proven) = known.flank.prove(self, &member.id, &known.place()).await;
        findings.extend(network);
        let lapses = {
            let mut now = member.state.lock().await;
            now.flank.settle(proven);
            now.released.clear();
            std::mem::take(&mut now.lapses)
        };
        let wrong: Vec<&str> =
            findings.iter().filter(|f| !f.as_asked).map(|f| f.text.as_str()).collect();
        let unproven = (!wrong.is_empty()).then(|| wrong.join("; "));
        Proof { measured: findings.into_iter().map(|f| f.text).collect(), unproven, lapses }
    }

    async fn prove_life(&self, member: &Member, known: &Known) -> Vec<Finding> {
        let State { pod, container, machine, .. } = &known.now;
        match known.life {
            Life::Running if known.may_be_away() => {
                let there = !known.now.uid.is_empty() && container.running;
                let how = if there { format!("pod {pod} runs") } else { "it has no pod".into() };
                vec![right(format!("{how}, and may be away"))]
            }
            Life::Running if known.now.uid.is_empty() => {
                vec![wrong("it has no pod: nothing took its place".into())]
            }
            Life::Running if !container.running => {
                vec![wrong(format!("pod {pod}: its container {}", container.why))]
            }
            Life::Running => {
                let runs =
                    right(format!("pod {pod} ({}) runs on {machine}", short(&known.now.uid)));
                let ready = self.ready(member, known).await;
                vec![runs].into_iter().chain(ready).collect()
            }
            Life::Paused => vec![standstill(known).await],
            Life::Crashed => {
                let (was, pod) = (&known.gone.container, &known.gone.pod);
                let gone =
                    known.now.uid != known.gone.uid || !container.running || container.id != was.id;
                let then = match container.running {
                    true => format!("another runs, after {} restarts", container.restarts),
                    false => container.why.clone(),
                };
                let text = format!("container {} of pod {pod} is gone; {then}", was.name);
                let still = format!("container {} of pod {pod} is still there", was.name);
                vec![if gone { right(text) } else { wrong(still) }]
            }
            Life::Evicted if let Some((why, times)) = &known.refused => {
                vec![right(format!("its eviction is refused, {times} times so far: {why}"))]
            }
            Life::Evicted | Life::Stopped | Life::Killed => self.prove_gone(known).await,
        }
    }

    async fn ready(&self, member: &Member, known: &Known) -> Option<Finding> {
        let port = self.options.ready_port?;
        let at = Member::endpoint(&known.now, port)?;
        let began = Instant::now();
        Some(match member.accepts(self.with(), &known.now).await {
            true => right(format!("connect to {at} accepted after {}", ms(began.elapsed()))),
            false if !known.flank.links.is_healthy() => {
                right(format!("{at}: not ready while its links suffer"))
            }
            false => wrong(format!("connect to {at} is not accepted")),
        })
    }

    /// That a pod is gone the cluster tells, before its machine has done it: what was there must be silent, too.
    async fn prove_gone(&self, known: &Known) -> Vec<Finding> {
        let State { pod, uid, addresses, .. } = &known.gone;
        if uid.is_empty() {
            return vec![right("it had no pod".into())];
        }
        if known.now.uid == *uid {
            return vec![wrong(format!("pod {pod} ({}) is still there", short(uid)))];
        }
        let then = match known.now.uid.is_empty() {
            true => "nothing has taken its place yet".to_string(),
            false => format!("{} ({}) takes its place", known.now.pod, short(&known.now.uid)),
        };
        let mut found = vec![right(format!("pod {pod} ({}) is gone; {then}", short(uid)))];
        // From here nobody would answer in any case.
        let old = addresses
            .iter()
            .filter(|_| !self.forwarded)
            .find(|address| !known.now.addresses.contains(*address));
        if let (Some(port), Some(address)) = (self.options.ready_port, old) {
            let at = std::net::SocketAddr::new(*address, port);
            let (how, took) = connect(at, SILENCE).await;
            let took = ms(Duration::from_nanos(took));
            found.push(match how {
                Connect::Accepted => {
                    wrong(format!("{at}, where it was, still accepts after {took}"))
                }
                Connect::Refused => right(format!("{at}, where it was, refuses after {took}")),
                Connect::Silent => right(format!("{at}, where it was, is silent for {took}")),
            });
        }
        found
    }
}

async fn standstill(known: &Known) -> Finding {
    let Some(insider) = &known.insider else {
        return wrong("nobody holds its processes".into());
    };
    match insider.ask(Order::Measure { folders: Default::default() }).await {
        Ok(Done::Measured(measured)) => match measured.standstill {
            Some(still) if still.threads == still.stopped && still.threads > 0 => {
                right(format!("its {} threads stand still", still.threads))
            }
            Some(still) => {
                wrong(format!("{} of its {} threads stand still", still.stopped, still.threads))
            }
            None => wrong("its processes go on".into()),
        },
        Ok(other) => wrong(format!("the agent answered {other:?}")),
        Err(why) => wrong(why),
    }
}

/// A pod's uid as people tell pods of one name apart.
fn short(uid: &str) -> &str {
    uid.get(..8).unwrap_or(uid)
}
