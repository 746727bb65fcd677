//! Measures whether what was asked of a node is in effect: its life as the engine and its port tell it, its network
//! by its agent and those of its peers, its resources by the agents within it.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::future::{BoxFuture, FutureExt};

use super::member::{Known, Member, With};
use super::up::Up;
use crate::agent::beside::probe::Prober;
use crate::condition::Life;
use crate::control::judge::{Finding, ms, right, wrong};
use crate::control::{Field, Standing};
use crate::inventory::NodeId;
use crate::target::Proof;

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
        Some(&self.prober)
    }
}

impl Up {
    /// Measures what was asked of a node.
    pub(super) async fn prove(&self, member: &Member) -> Proof {
        // A copy: a measurement must not keep the next change waiting.
        let mut known = member.state.lock().await.clone();
        let life = self.prove_life(member, &mut known).await;
        let (network, proven) = known.flank.prove(self, &member.id, &known.place()).await;
        member.state.lock().await.flank.settle(proven);
        let mut findings: Vec<Finding> = life.into_iter().chain(network).collect();
        findings.extend(member.prove_within(&known).await);
        let lapses = std::mem::take(&mut member.state.lock().await.lapses);
        let wrong: Vec<&str> =
            findings.iter().filter(|f| !f.as_asked).map(|f| f.text.as_str()).collect();
        let unproven = (!wrong.is_empty()).then(|| wrong.join("; "));
        Proof { measured: findings.into_iter().map(|f| f.text).collect(), unproven, lapses }
    }

    async fn prove_life(&self, member: &Member, known: &mut Known) -> Vec<Finding> {
        let with = self.with();
        if let Err(e) = member.look(with, known).await {
            return vec![wrong(e.to_string())];
        }
        let now = &known.now;
        let says = |so: bool, yes: String, no: String| if so { right(yes) } else { wrong(no) };
        let name = &now.name;
        match known.asked.life {
            Life::Running if !now.running => {
                let down = format!("container {name} is down (exit code {})", now.exit_code);
                let seen = known.within.seen_before_its_end(&known.asked.disk);
                // That it ended is told of the node; what it ended of was there, if it was seen before.
                let asked = &known.asked;
                let else_healthy =
                    known.flank.is_healthy() && asked.load.is_healthy() && asked.clock.is_none();
                let all_seen = !seen.is_empty() && seen.iter().all(|finding| finding.as_asked);
                let proven = else_healthy && all_seen;
                vec![says(proven, down.clone(), down)].into_iter().chain(seen).collect()
            }
            Life::Running => {
                let runs = format!("container {name} runs (process {})", now.pid);
                let runs = says(!now.paused, runs, format!("container {name} is paused"));
                let linked = known.flank.links.is_healthy();
                vec![runs]
                    .into_iter()
                    .chain(self.ready(with, member, known, linked).await)
                    .collect()
            }
            Life::Crashed => {
                let old = known.crashed.unwrap_or_default();
                let gone = !now.running || now.pid != old;
                let since = match now.running {
                    true => format!("process {old} is gone; process {} took its place", now.pid),
                    false => format!("process {old} is gone (exit code {})", now.exit_code),
                };
                vec![says(gone, since, format!("process {old} is still there"))]
            }
            Life::Paused => vec![says(
                now.paused,
                format!("container {name} is frozen"),
                format!("container {name} is not frozen"),
            )],
            Life::Evicted | Life::Stopped | Life::Killed => {
                let down = format!("container {name} is down (exit code {})", now.exit_code);
                vec![says(!now.running, down, format!("container {name} still runs"))]
            }
        }
    }

    async fn ready(
        &self,
        with: With<'_>,
        member: &Member,
        known: &Known,
        linked: bool,
    ) -> Option<Finding> {
        let port = self.options.ready_port?;
        let at = Member::endpoint(&known.now, port)?;
        let began = Instant::now();
        Some(match member.accepts(with, &known.now).await {
            true => right(format!("connect to {at} accepted after {}", ms(began.elapsed()))),
            false if !linked => right(format!("{at}: not ready while its links suffer")),
            false => wrong(format!("connect to {at} is not accepted")),
        })
    }
}
