//! The agents in a node's pod: one for its network, and one among its processes.
//!
//! Invariant: there is at most one of a kind that is spoken to; one that is gone is told to whoever looks after it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::agent::{self, Place};
use super::member::{Known, Member, OF_NETWORK, With};
use super::pod::{State, is_the_machines};
use crate::agent::within::protocol::Order;
use crate::condition::Life;
use crate::control::{Agent, Insider};
use crate::target::TargetError;

impl Member {
    /// The agent among its processes; a new one where there is none.
    pub async fn insider(
        &self,
        with: With<'_>,
        known: &mut Known,
    ) -> Result<Arc<Insider>, TargetError> {
        self.look(known);
        if !known.now.container.running {
            let why = &known.now.container.why;
            return Err(self.failed(format!("its container does not run ({why})")));
        }
        if known.now.shares_processes {
            return Err(self.failed(
                "its containers see each other's processes (`shareProcessNamespace`), so that \
                 nobody could tell its own from theirs",
            ));
        }
        if let Some(insider) = known.insider.as_ref().filter(|i| !i.gone.is_cancelled()) {
            return Ok(insider.clone());
        }
        let joins = Some(known.now.container.name.clone());
        let place = self.agent_place(with, known, "agent-within", known.takes, joins);
        let insider = agent::start(with.pods, with.events, self.now.subscribe(), &place).await;
        let insider = Arc::new(insider.map_err(|why| self.failed(why))?);
        // After the drill nobody listens.
        let _ = with.lost.send((self.id.clone(), insider.gone.clone()));
        // Whoever notices first tells it, and has the new one stop what the old one had stopped.
        if let Some(what) = known.is_let_go() {
            known.lapses.push(format!("its agent was gone: {what} until a new agent came"));
            if known.life == Life::Paused {
                insider.ask(Order::Halt(true)).await.map_err(|why| self.failed(why))?;
            }
        }
        known.within.forget(); // it holds nothing else yet
        known.insider = Some(insider.clone());
        Ok(insider)
    }

    fn agent_place(
        &self,
        with: With<'_>,
        known: &Known,
        command: &'static str,
        capabilities: &'static [&'static str],
        joins: Option<String>,
    ) -> Place {
        let options = with.options;
        Place {
            run: options.run.clone(),
            image: options.agent_image.clone(),
            pull_policy: options.pull_policy.clone(),
            lease: options.lease,
            pod: known.now.pod.clone(),
            uid: known.now.uid.clone(),
            command,
            capabilities,
            joins,
        }
    }

    /// The agent of its network; a new one where there is none.
    pub async fn agent(
        &self,
        with: With<'_>,
        known: &mut Known,
    ) -> Result<Arc<Agent>, TargetError> {
        if let Some(agent) = known.flank.alive() {
            return Ok(agent.clone());
        }
        if let Some(why) = is_the_machines(&known.now) {
            return Err(self.failed(why));
        }
        let place = self.agent_place(with, known, "agent", OF_NETWORK, None);
        let agent = agent::start(with.pods, with.events, self.now.subscribe(), &place).await;
        let agent = Arc::new(agent.map_err(|why| self.failed(why))?);
        // After the drill nobody listens.
        let _ = with.lost.send((self.id.clone(), agent.gone.clone()));
        known.flank.join(agent.clone());
        Ok(agent)
    }

    /// Waits until no agent runs in its pod any more. What does for all the time, in words.
    pub async fn emptied(&self, patience: Duration) -> Option<String> {
        let mut now = self.now.subscribe();
        let runs = |now: &State| now.helpers.iter().any(|(_, helper)| helper.running);
        let left = timeout(patience, now.wait_for(|now| !runs(now))).await;
        let (pod, is_left) = (self.now.borrow().pod.clone(), left.is_err());
        is_left.then(|| {
            format!(
                "an agent still runs in pod {pod}, and ends with its lease; if not, \
                 `kubectl delete pod {pod}` ends it"
            )
        })
    }
}
