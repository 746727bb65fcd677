//! Events on the pods that a drill strikes, so that whoever is on call sees it in `kubectl describe pod`.
//!
//! Invariant: nobody waits for them. What cannot be written soon, or may not be, is left out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::cluster::words;
use super::objects::Event;
use super::pod::State;

/// So many wait to be written at most; more are left out.
const WAITING_MAX: usize = 256;
/// How long the API server may take with one.
const WRITING: Duration = Duration::from_secs(5);
/// How long the last ones may take at the end of a drill.
const LAST: Duration = Duration::from_secs(3);
/// How long a message may be, in bytes: the API's own bound.
const MESSAGE_MAX: usize = 1024;

/// One that is to be written.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The pod that it concerns.
    pub pod: State,
    /// Whether a fault is over; else it began.
    pub healed: bool,
    /// What happens, in words.
    pub message: String,
}

/// Where they are handed in.
#[derive(Debug)]
pub(super) struct Board {
    items: mpsc::Sender<Item>,
    writer: JoinHandle<()>,
}

impl Board {
    /// Writes what is handed in, as long as that is possible. `run`: who says it.
    pub fn begin(events: Api<Event>, namespace: String, run: String) -> Board {
        let (items, mut handed_in) = mpsc::channel::<Item>(WAITING_MAX);
        let writer = tokio::spawn(async move {
            let mut told = false;
            while let Some(item) = handed_in.recv().await {
                let Some(event) = event(&item, &namespace, &run, SystemTime::now()) else {
                    continue;
                };
                let params = PostParams::default();
                let written = timeout(WRITING, events.create(&params, &event)).await;
                let why = match written {
                    Ok(Ok(_)) => continue,
                    Ok(Err(e)) => words(&e),
                    Err(_) => format!("the API server does not answer within {WRITING:?}"),
                };
                if !told {
                    tracing::info!("no Events on the pods: {why}"); // once is enough
                }
                told = true;
            }
        });
        Board { items, writer }
    }

    /// Hands one in. Never waits.
    pub fn tell(&self, item: Item) {
        // More than anybody reads in `kubectl describe`, or an API server that is away: left out.
        let _ = self.items.try_send(item);
    }

    /// Gives the last ones a little time.
    pub async fn end(board: Arc<Board>) {
        let Ok(Board { items, mut writer }) = Arc::try_unwrap(board) else { return };
        drop(items);
        if timeout(LAST, &mut writer).await.is_err() {
            writer.abort();
        }
    }
}

fn event(item: &Item, namespace: &str, run: &str, now: SystemTime) -> Option<Event> {
    let State { pod, uid, .. } = &item.pod;
    if uid.is_empty() {
        return None; // there is no pod that it could concern
    }
    let (reason, kind) = match item.healed {
        false => ("FaultInjected", "Warning"),
        true => ("FaultHealed", "Normal"),
    };
    let mut message = item.message.clone();
    if let Some(end) =
        (0..=MESSAGE_MAX.min(message.len())).rev().find(|at| message.is_char_boundary(*at))
    {
        message.truncate(end);
    }
    let second = humantime::format_rfc3339_seconds(now).to_string();
    let object = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": format!("{pod}.firedrill-"), "namespace": namespace},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod, "uid": uid,
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "action": "Drill",
        "count": 1,
        "firstTimestamp": second,
        "lastTimestamp": second,
        "eventTime": humantime::format_rfc3339_micros(now).to_string(),
        "source": {"component": "firedrill"},
        "reportingComponent": "firedrill",
        "reportingInstance": run.get(..run.len().min(128)).unwrap_or_default(),
    });
    serde_json::from_value(object).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_the_pod_that_it_concerns() {
        let pod = State { pod: "etcd-1".into(), uid: "u".into(), ..State::default() };
        let item = Item { pod, healed: false, message: "x".repeat(3000) };
        let event = super::event(&item, "db", "drill-1", SystemTime::UNIX_EPOCH).unwrap();
        let of = &event.involved_object;
        let ids = [&of.kind, &of.name, &of.uid, &of.namespace].map(|id| id.clone().unwrap());
        assert_eq!(ids, ["Pod", "etcd-1", "u", "db"]);
        assert_eq!(event.message.unwrap().len(), MESSAGE_MAX);
        assert_eq!(
            (event.reason.as_deref(), event.type_.as_deref()),
            (Some("FaultInjected"), Some("Warning"))
        );
        let nobody = Item { pod: State::default(), ..item };
        assert_eq!(super::event(&nobody, "db", "drill-1", SystemTime::UNIX_EPOCH), None);
    }
}
