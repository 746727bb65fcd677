//! What happens to the nodes' containers, as the engine tells it: deaths are noticed, and what starts again (by a
//! restart policy, by hand, after the engine itself restarted) gets its agent and its condition anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::discover;
use super::member::Member;
use super::up::Up;
use crate::history::NodeEventKind;
use crate::inventory::NodeId;
use crate::target::TargetError;

/// How long to wait before an engine that went away is asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// Listens until the drill is over: to the engine, and to who says that an agent within a node has ended.
pub(super) fn watch(up: Arc<Up>, mut lost: mpsc::UnboundedReceiver<NodeId>) {
    tokio::spawn(async move {
        let ending = up.ending.clone();
        let lost = async {
            while let Some(id) = lost.recv().await {
                if let Some(member) = up.members.get(&id) {
                    spawn_visit(&up, member, "an agent within it was gone");
                }
            }
        };
        tokio::select! {
            () = ending.cancelled() => {}
            () = listen(up.clone()) => {}
            () = lost => {}
        }
    });
}

async fn listen(up: Arc<Up>) {
    let filters = HashMap::from([
        ("type", vec!["container", "network"]),
        ("event", vec!["die", "start", "connect", "disconnect"]),
    ]);
    loop {
        for member in up.members.values() {
            guard(&up, member).await;
        }
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let mut events = std::pin::pin!(up.api.events(Some(options)));
        while let Some(Ok(event)) = events.next().await {
            heard(&up, event).await;
        }
        // The engine went away, or the connection to it: what happened meanwhile is looked for.
        tracing::warn!("the engine's events ended; asking again");
        sleep(AGAIN).await;
        for member in up.members.values() {
            spawn_visit(&up, member, "the engine went away");
        }
    }
}

/// Visits a node again when its agent is gone.
async fn guard(up: &Arc<Up>, member: &Member) {
    let Some(agent) = member.state.lock().await.flank.agent.clone() else { return };
    let (up, id) = (Arc::downgrade(up), member.id.clone());
    let gone = agent.gone.clone();
    drop(agent); // whoever holds it keeps it alive
    tokio::spawn(async move {
        gone.cancelled().await;
        let Some(up) = up.upgrade() else { return };
        if let Some(member) = up.members.get(&id) {
            spawn_visit(&up, member, "its agent was gone");
        }
    });
}

async fn heard(up: &Arc<Up>, event: EventMessage) {
    let Some(actor) = event.actor else { return };
    let attributes = actor.attributes.unwrap_or_default();
    // What happens to a network names the container beside it.
    let of_network = event.typ == Some(EventMessageTypeEnum::NETWORK);
    let id = if of_network { attributes.get("container").cloned() } else { actor.id };
    let Some(id) = id else { return };
    let mut member = None;
    for candidate in up.members.values() {
        // What is being done to a node holds its lock; its id does not change by that.
        if candidate.container() == id {
            member = Some(candidate);
        }
    }
    match (event.action.as_deref(), member) {
        (Some("die"), Some(member)) => {
            let how = match attributes.get("exitCode").map(String::as_str) {
                Some("137") => "signal 9".to_string(),
                Some(code) => format!("exit code {code}"),
                None => "unknown".to_string(),
            };
            let kind = match member.meant.load(Ordering::Acquire) {
                true => NodeEventKind::Ended(how),
                false => NodeEventKind::Died(how),
            };
            if !member.told_dead.swap(true, Ordering::AcqRel) {
                member.notice(up.with(), kind);
            }
        }
        (Some("start"), Some(member)) => {
            member.meant.store(false, Ordering::Release);
            member.told_dead.store(false, Ordering::Release);
            member.notice(up.with(), NodeEventKind::Started);
            spawn_visit(up, member, "it was started");
        }
        (Some("connect" | "disconnect"), Some(member)) => spawn_move(up, member),
        // Perhaps a node in a new container.
        (Some("start"), None) if !attributes.contains_key(crate::control::RUN_LABEL) => {
            rediscover(up).await;
        }
        _ => {}
    }
}

async fn rediscover(up: &Arc<Up>) {
    let Ok(found) = discover::find(&up.api, &up.options.which, &up.options.zones).await else {
        return;
    };
    for found in found {
        let Some(member) = up.members.get(&found.node) else { continue };
        if member.container() != found.state.container {
            member.rename(found.state).await;
            member.meant.store(false, Ordering::Release);
            member.told_dead.store(false, Ordering::Release);
            member.notice(up.with(), NodeEventKind::Started);
            spawn_visit(up, member, "it is in a new container");
        }
    }
}

fn spawn_visit(up: &Arc<Up>, member: &Member, why: &'static str) {
    let (up, id) = (up.clone(), member.id.clone());
    tokio::spawn(async move {
        let Some(member) = up.members.get(&id) else { return };
        if let Err(e) = visit(&up, member, why).await {
            tracing::warn!("{e}");
            let (mut known, why) = (member.state.lock().await, e.to_string());
            let process = known.now.pid;
            if member.has_ended(up.with(), &mut known, process).await {
                // It ended again meanwhile: that is its own affair, and it is visited when it starts.
                return;
            }
            // Once, however often an engine that is away is asked.
            if !known.lapses.contains(&why) {
                known.lapses.push(why);
            }
        }
    });
}

fn spawn_move(up: &Arc<Up>, member: &Member) {
    let (up, id) = (up.clone(), member.id.clone());
    tokio::spawn(async move {
        let Some(member) = up.members.get(&id) else { return };
        if let Err(e) = follow(&up, member).await {
            tracing::warn!("{e}");
            member.state.lock().await.lapses.push(e.to_string());
        }
    });
}

/// Follows a node that lives on and was joined to a network, or taken off one: what it suffers, it suffers at the
/// addresses that it has there as well. One that was started anew is visited for that.
async fn follow(up: &Arc<Up>, member: &Member) -> Result<(), TargetError> {
    let mut known = member.state.lock().await;
    if up.ending.is_cancelled() || !known.now.running {
        return Ok(());
    }
    let process = known.now.pid;
    member.look(up.with(), &mut known).await?;
    if known.now.pid != process || !known.now.running {
        return Ok(());
    }
    let Some(new) = up.moved(member, &known) else { return Ok(()) };
    let held = known.flank.holdings();
    known.flank.stands_elsewhere();
    up.wire(member, &mut known).await?;
    drop(known);
    up.rewire(&member.id).await?;
    // Where it is no more, nothing was whole that should not have been.
    if !new.is_empty() {
        let whole =
            |what| format!("its networks changed: {what} were whole there until they were held");
        member.state.lock().await.lapses.extend(held.into_iter().map(whole));
    }
    Ok(())
}

/// Looks what became of a node, and makes sure that it suffers what it should. At the end of the drill it is not
/// dropped while the engine makes an agent, which would be left: whoever ends the drill waits for the node's lock.
async fn visit(up: &Arc<Up>, member: &Member, why: &str) -> Result<(), TargetError> {
    let with = up.with();
    let mut known = member.state.lock().await;
    if up.ending.is_cancelled() {
        return Ok(());
    }
    let process = known.now.pid;
    member.look(with, &mut known).await?;
    let stands = known.flank.alive().is_some();
    if !known.now.running {
        if known.asked.life.has_process() && !member.told_dead.swap(true, Ordering::AcqRel) {
            member.notice(with, NodeEventKind::Died(format!("seen after {why}")));
        }
        return Ok(());
    }
    member.told_dead.store(false, Ordering::Release);
    let same_process = known.now.pid == process;
    let lost = known.within.is_lost();
    if same_process && stands && !lost {
        return Ok(());
    }
    if !same_process {
        known.within.forget();
    }
    let mut moved = false;
    if !same_process || !stands {
        let held = known.flank.holdings();
        known.flank.leave();
        moved = up.moved(member, &known).is_some();
        up.wire(member, &mut known).await?;
        // A restart is the node's own affair, and its peers held their ends; an agent that went is ours.
        if same_process {
            let whole = |what| format!("{why}: {what} were whole until a new agent held them");
            known.lapses.extend(held.into_iter().map(whole));
        }
    }
    // Behind the links, which are there sooner.
    let suffered = member.suffer(with, &mut known).await;
    member.be_there(with, &mut known).await;
    drop(known);
    if !same_process || !stands {
        guard(up, member).await;
    }
    if moved {
        up.rewire(&member.id).await?;
    }
    suffered?;
    let mut known = member.state.lock().await;
    let linked = known.flank.links.is_healthy();
    tokio::select! {
        () = up.ending.cancelled() => Ok(()),
        ready = member.await_ready(with, &mut known, linked, false) => ready,
    }
}
