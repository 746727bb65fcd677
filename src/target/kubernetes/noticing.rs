//! What the cluster itself notices of the nodes, in its own time: readiness and placing, from the watch of the pods;
//! endpoints and machines, from a watch of each, where that is allowed.
//!
//! Invariant: only what changed is told, and never guessed: what cannot be watched is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};

use super::cluster::{is_forbidden, watch_words};
use super::machines::status;
use super::member::Member;
use super::objects::{EndpointSlice, Node};
use super::pod::State;
use super::up::Up;
use crate::history::{NodeEventKind, Noticed};

/// The label of a slice that names its service.
const SERVICE: &str = "kubernetes.io/service-name";

/// What changed between what the cluster said of a node's pod and what it says now.
pub(super) fn between(before: &State, now: &State) -> Vec<Noticed> {
    let (same, is_there) = (before.uid == now.uid, !now.uid.is_empty());
    let placed = is_there && !now.machine.is_empty() && (!same || before.machine.is_empty());
    let placed = placed.then(|| Noticed::Placed(now.machine.clone()));
    let served = before.ready && !before.leaving;
    let serves = is_there && now.ready && !now.leaving;
    let readiness = match (served, serves) {
        (true, false) => Some(Noticed::NotReady),
        (false, true) => Some(Noticed::Ready),
        (true, true) | (false, false) => None,
    };
    readiness.into_iter().chain(placed).collect()
}

fn tell(up: &Up, member: &Member, noticed: Noticed) {
    member.notice(up.with(), NodeEventKind::Noticed(noticed));
}

/// Why a watch is given up: it is not allowed. Anything else passes.
fn given_up(what: &str, why: &watcher::Error) -> bool {
    let forbidden = match why {
        watcher::Error::InitialListFailed(e)
        | watcher::Error::WatchStartFailed(e)
        | watcher::Error::WatchFailed(e) => is_forbidden(e),
        _ => false,
    };
    if forbidden {
        tracing::info!("{what} are not watched: {}", watch_words(why));
    }
    forbidden
}

/// Tells when nodes go out of the endpoints, and when they are among them again.
pub(super) async fn endpoints(up: Arc<Up>, slices: Api<EndpointSlice>) {
    let events = watcher::watcher(slices, watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    // By slice, its service and the pods of it that clients are told of.
    let mut listed: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut complete = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(slice) | watcher::Event::Apply(slice)) => {
                let name = slice.metadata.name.clone().unwrap_or_default();
                let labels = slice.metadata.labels.as_ref();
                let service = labels.and_then(|labels| labels.get(SERVICE)).cloned();
                listed.insert(name, (service.unwrap_or_default(), ready_pods(&slice)));
            }
            Ok(watcher::Event::Delete(slice)) => {
                listed.remove(&slice.metadata.name.unwrap_or_default());
            }
            Ok(watcher::Event::InitDone) => complete = true,
            Err(why) if given_up("endpoints", &why) => break,
            Err(_) => {}
        }
        if !complete {
            continue;
        }
        for member in up.members.values() {
            let uid = member.now.borrow().uid.clone();
            let of = listed.values().filter(|(_, pods)| pods.contains(&uid));
            let now: BTreeSet<String> = of.map(|(service, _)| service.clone()).collect();
            let Some(before) = known.insert(member.id.to_string(), now.clone()) else { continue };
            for gone in before.difference(&now) {
                tell(&up, member, Noticed::Unlisted(gone.clone()));
            }
            for new in now.difference(&before) {
                tell(&up, member, Noticed::Listed(new.clone()));
            }
        }
    }
}

/// The pods that a slice tells clients of, by their uids.
fn ready_pods(slice: &EndpointSlice) -> BTreeSet<String> {
    // Absent means ready, as the API has it.
    let ready = slice
        .endpoints
        .iter()
        .flatten()
        .filter(|endpoint| endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true));
    ready.filter_map(|endpoint| endpoint.target_ref.as_ref()?.uid.clone()).collect()
}

/// Tells when the machines of nodes are lost for the cluster, and when they are back.
pub(super) async fn machines(up: Arc<Up>, machines: Api<Node>) {
    let events = watcher::watcher(machines, watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut ready: BTreeMap<String, bool> = BTreeMap::new();
    while let Some(event) = events.next().await {
        let machine = match event {
            Ok(watcher::Event::InitApply(machine) | watcher::Event::Apply(machine)) => machine,
            Ok(_) => continue,
            Err(why) if given_up("machines", &why) => break,
            Err(_) => continue,
        };
        let is = status(&machine) == "True";
        let name = machine.metadata.name.unwrap_or_default();
        let was = ready.insert(name.clone(), is).unwrap_or(is);
        if was == is {
            continue;
        }
        for member in up.members.values().filter(|member| member.now.borrow().machine == name) {
            tell(
                &up,
                member,
                match is {
                    true => Noticed::MachineBack(name.clone()),
                    false => Noticed::MachineLost(name.clone()),
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(uid: &str, machine: &str, ready: bool) -> State {
        let (uid, machine) = (uid.to_string(), machine.to_string());
        State { uid, machine, ready, ..State::default() }
    }

    #[test]
    fn only_what_changed_is_told() {
        let old = state("a", "n1", true);
        let none = State::default();
        assert_eq!(between(&old, &old), []);
        assert_eq!(between(&old, &none), [Noticed::NotReady]);
        assert_eq!(between(&none, &state("b", "", false)), []);
        let placed = state("b", "n2", false);
        assert_eq!(between(&state("b", "", false), &placed), [Noticed::Placed("n2".into())]);
        assert_eq!(between(&placed, &state("b", "n2", true)), [Noticed::Ready]);
        let leaving = State { leaving: true, ..old.clone() };
        assert_eq!(between(&old, &leaving), [Noticed::NotReady]);
        assert_eq!(between(&leaving, &none), []);
    }

    #[test]
    fn an_endpoint_is_ready_unless_it_says_otherwise() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.0.0.1"], "targetRef": {"uid": "a"}},
                {"addresses": ["10.0.0.2"], "targetRef": {"uid": "b"}, "conditions": {"ready": false}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": true}},
            ],
        }))
        .unwrap();
        assert_eq!(ready_pods(&slice), BTreeSet::from(["a".to_string()]));
    }
}
