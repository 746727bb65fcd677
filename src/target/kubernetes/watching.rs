//! What happens to the nodes' pods, as the cluster tells it over one watch: deaths are noticed, and whoever takes a
//! node's place gets its agent and its condition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::cluster::watch_words;
use super::discover::deployment;
use super::member::Member;
use super::noticing;
use super::objects::Pod;
use super::pod::{State, state};
use super::up::Up;
use crate::history::NodeEventKind;
use crate::inventory::NodeId;
use crate::target::TargetError;

/// Watches until the drill is over. `agents`: those that came into being, which are looked after.
pub(super) fn watch(up: Arc<Up>, agents: mpsc::UnboundedReceiver<(NodeId, CancellationToken)>) {
    tokio::spawn(async move {
        let watching = up.watching.clone();
        tokio::select! {
            () = watching.cancelled() => {}
            () = listen(up.clone()) => {}
            () = guard(&up, agents) => {}
        }
    });
}

/// Goes on beside it, as long.
pub(super) fn beside(up: &Up, watch: impl Future<Output = ()> + Send + 'static) {
    let watching = up.watching.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = watching.cancelled() => {}
            () = watch => {}
        }
    });
}

async fn listen(up: Arc<Up>) {
    let config = watcher::Config::default().labels(&up.selector);
    let events = watcher::watcher(up.pods.clone(), config).default_backoff();
    let (mut events, mut told) = (std::pin::pin!(events), false);
    let mut seen = Seen { up, listed: BTreeSet::new(), spare: BTreeMap::new() };
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                told &= !matches!(event, watcher::Event::InitDone);
                seen.happens(event);
            }
            // Once, however often it is tried.
            Err(why) if !told => {
                told = true;
                tracing::warn!(
                    "the cluster's pods are not watched: {}; trying again",
                    watch_words(&why)
                );
            }
            Err(_) => {}
        }
    }
}

/// The pods that were seen.
struct Seen {
    up: Arc<Up>,
    /// Those of a list that is under way.
    listed: BTreeSet<String>,
    /// Those that are no node's, and might take a place: a Deployment that is rolled out makes a new pod before the
    /// old one goes.
    spare: BTreeMap<String, Pod>,
}

impl Seen {
    fn happens(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(pod) => {
                self.listed.extend(pod.metadata.uid.clone());
                self.is(pod);
            }
            watcher::Event::InitDone => {
                // What went while nobody watched.
                self.spare.retain(|uid, _| self.listed.contains(uid));
                for member in self.up.members.values() {
                    let uid = member.now.borrow().uid.clone();
                    if !uid.is_empty() && !self.listed.contains(&uid) {
                        is_now(&self.up, member, State::default());
                    }
                }
            }
            watcher::Event::Apply(pod) => self.is(pod),
            watcher::Event::Delete(pod) => {
                let uid = pod.metadata.uid.unwrap_or_default();
                self.spare.remove(&uid);
                let of = |member: &&Member| member.now.borrow().uid == uid;
                if let Some(member) = self.up.members.values().find(of) {
                    is_now(&self.up, member, State::default());
                }
            }
        }
        let spare = std::mem::take(&mut self.spare);
        spare.into_values().for_each(|pod| self.is(pod));
    }

    /// A pod as it is now: that of a node, one that takes a node's place, or a spare one.
    fn is(&mut self, pod: Pod) {
        let up = &self.up;
        let now = state(&pod, up.options.pods.container.as_deref());
        let of = |member: &&Member| member.now.borrow().uid == now.uid;
        let member = up.members.values().find(of).or_else(|| takes_the_place_of(up, &pod, &now));
        match member {
            Some(member) => {
                self.spare.remove(&now.uid);
                is_now(up, member, now);
            }
            None if now.leaving || deployment(&pod).is_none() => {
                self.spare.remove(&now.uid);
            }
            None => {
                self.spare.insert(now.uid, pod);
            }
        }
    }
}

/// The node whose place a new pod takes: the one of its name; else, of its controller's, one that has no pod any more.
fn takes_the_place_of<'a>(up: &'a Up, pod: &Pod, now: &State) -> Option<&'a Member> {
    if now.leaving {
        return None;
    }
    if let Some(member) = up.members.get(now.pod.as_str()) {
        return Some(member);
    }
    if now.machine.is_empty() {
        return None; // it takes the place in the zone that it will stand in
    }
    let place = format!("{}-", deployment(pod)?);
    let vacant = |member: &&Member| {
        let now = member.now.borrow();
        let number = member.id.as_str().strip_prefix(&place);
        let of_it = number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
        of_it && (now.uid.is_empty() || now.leaving)
    };
    let zone = up.zone_of(pod, &now.machine);
    let mut vacant: Vec<&Member> = up.members.values().filter(vacant).collect();
    vacant.sort_by_key(|member| Some(&member.zone) != zone.as_ref());
    vacant.first().copied()
}

/// This is a node's pod now, or it has none. Never waits: what is being done to a node holds its lock.
fn is_now(up: &Arc<Up>, member: &Member, now: State) {
    let before = member.now.send_replace(now.clone());
    for noticed in noticing::between(&before, &now) {
        member.notice(up.with(), NodeEventKind::Noticed(noticed));
    }
    let (was, is, same_pod) = (&before.container, &now.container, before.uid == now.uid);
    let another = !same_pod || is.id != was.id;
    let how = || match is.why.is_empty() {
        true => "unknown".to_string(),
        false => {
            let how = is.why.trim_start_matches("ended ");
            how.trim_start_matches("by ").trim_start_matches("with ").to_string()
        }
    };
    if was.running && (another || !is.running) {
        let how = if same_pod { how() } else { format!("pod {} is gone", before.pod) };
        let kind = match member.meant.swap(false, Ordering::AcqRel)
            || member.loose.load(Ordering::Acquire)
        {
            true => NodeEventKind::Ended(how),
            false => NodeEventKind::Died(how),
        };
        member.notice(up.with(), kind);
    }
    let placed = !now.machine.is_empty() && (!same_pod || before.machine != now.machine);
    if another && !is.id.is_empty() {
        member.notice(up.with(), NodeEventKind::Started);
        if !is.running {
            // It ended before the cluster told that it ran.
            member.notice(up.with(), NodeEventKind::Died(how()));
        }
        visit_soon(up, member, "it was started");
    } else if placed {
        visit_soon(up, member, "it is another pod");
    }
}

fn visit_soon(up: &Arc<Up>, member: &Member, why: &'static str) {
    let (up, id): (Arc<Up>, NodeId) = (up.clone(), member.id.clone());
    tokio::spawn(async move {
        let Some(member) = up.members.get(&id) else { return };
        if let Err(e) = visit(&up, member, why).await {
            tracing::warn!("{e}");
            let (mut known, why) = (member.state.lock().await, e.to_string());
            let uid = known.now.uid.clone();
            member.look(&mut known);
            if known.now.uid != uid || known.now.leaving {
                return; // it is another one by now, which is visited itself
            }
            if !known.lapses.contains(&why) {
                known.lapses.push(why);
            }
        }
    });
}

/// Visits a node again when an agent of it is gone.
async fn guard(up: &Arc<Up>, mut agents: mpsc::UnboundedReceiver<(NodeId, CancellationToken)>) {
    let mut there = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some((id, gone)) = agents.recv() => there.push(async move {
                gone.cancelled().await;
                id
            }),
            Some(id) = there.next() => {
                if let Some(member) = up.members.get(&id) {
                    visit_soon(up, member, "its agent was gone");
                }
            }
            else => return,
        }
    }
}

/// Looks what became of a node, and makes sure that it suffers what it should.
async fn visit(up: &Arc<Up>, member: &Member, why: &str) -> Result<(), TargetError> {
    let with = up.with();
    let mut known = member.state.lock().await;
    if up.ending.is_cancelled() {
        return Ok(());
    }
    let (uid, held) = (known.now.uid.clone(), known.flank.holdings());
    member.look(&mut known);
    // One that no machine has taken yet is visited when one has.
    if known.now.uid.is_empty() || known.now.leaving || known.now.machine.is_empty() {
        return Ok(());
    }
    let (same_pod, bereft) = (known.now.uid == uid, known.flank.is_bereft());
    if bereft {
        known.flank.leave();
    }
    let seen = known.now.clone();
    let moved = up.moved(member, &known);
    if up.wired.load(Ordering::Acquire) {
        member.agent(with, &mut known).await?;
    }
    up.wire(member, &mut known).await?;
    if known.is_let_go().is_some() {
        member.insider(with, &mut known).await?;
    }
    member.suffer(with, &mut known).await?;
    // A new pod is the cluster's own affair, and its peers held their ends; an agent that went is ours.
    if bereft && same_pod {
        let whole = |what| format!("{why}: {what} were whole until a new agent held them");
        known.lapses.extend(held.into_iter().map(whole));
    }
    drop(known);
    if moved {
        up.rewire(&member.id).await?;
    }
    // Whoever wants something of it meanwhile goes first.
    let began = Instant::now();
    let same = |now: &State| now.uid == seen.uid && now.container.id == seen.container.id;
    let mut now = member.now.subscribe();
    tokio::select! {
        () = up.ending.cancelled() => return Ok(()),
        _ = now.wait_for(|now| !same(now) || now.ready && !now.leaving) => {}
        () = sleep(with.options.ready_timeout) => {}
    }
    let mut known = member.state.lock().await;
    member.look(&mut known);
    if !same(&known.now) {
        return Ok(()); // it is another one by now, which is visited itself
    }
    let linked = known.flank.links.is_healthy();
    tokio::select! {
        () = up.ending.cancelled() => Ok(()),
        ready = member.await_ready(with, &mut known, linked, began) => ready,
    }
}
