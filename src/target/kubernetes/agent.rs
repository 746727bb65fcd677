//! An agent in a pod: an ephemeral container of this very binary, spoken to over one attach that stays open. The end
//! of the attach ends it, and with it what it held.
//!
//! Deliberately absent: its removal. Kubernetes never removes an ephemeral container; one that has ended stays in the
//! pod's list until the pod is gone.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess, Patch, PatchParams};
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt, ReadHalf, SimplexStream, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::io::ReaderStream;

use super::cluster::words;
use super::objects::{Event, Pod};
use super::pod::{State, helper};
use crate::control::{Attached, Input, Lines, Speech, lines};

/// What the names of the agents' containers begin with.
pub(super) const PREFIX: &str = "firedrill-";
/// The variable by which an agent's container tells whose it is.
pub(super) const RUN: &str = "FIREDRILL_RUN";
/// How long an agent's container may take to run, once its image is there.
const STARTING: Duration = Duration::from_secs(30);
/// How long nothing is thought of it that one does not run yet.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which agent, and where it is to stand.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub run: String,
    pub image: String,
    pub pull_policy: String,
    pub lease: Duration,
    /// The pod, and which of that name.
    pub pod: String,
    pub uid: String,
    /// The hidden subcommand that it is.
    pub command: &'static str,
    /// What it may do there.
    pub capabilities: &'static [&'static str],
    /// The container whose processes it joins. An agent of the network joins none: it outlives them.
    pub joins: Option<String>,
}

impl Place {
    /// The container that it will be.
    pub fn container(&self, name: String) -> Value {
        let lease = format!("{}ms", self.lease.as_millis());
        let mut capabilities = json!({"drop": ["ALL"]});
        if !self.capabilities.is_empty() {
            capabilities["add"] = json!(self.capabilities);
        }
        let mut container = json!({
            "name": name,
            "image": self.image,
            "imagePullPolicy": self.pull_policy,
            "command": ["/firedrill", self.command, "--after-a-line", "--lease", lease],
            "env": [{"name": RUN, "value": self.run}],
            "stdin": true,
            "stdinOnce": true,
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": capabilities,
                "privileged": false,
                "readOnlyRootFilesystem": true,
                "runAsUser": 0,
                "runAsGroup": 0,
                "runAsNonRoot": false,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            // So that it is known why it ended, without a right to read logs.
            "terminationMessagePolicy": "FallbackToLogsOnError",
        });
        if let Some(joined) = &self.joins {
            container["targetContainerName"] = json!(joined);
        }
        container
    }

    /// What the API server is asked for. It refuses if the pod of this name is another one by now.
    pub fn patch(&self, name: String) -> Patch<Value> {
        let containers = [self.container(name)];
        Patch::Strategic(json!({
            "metadata": {"uid": self.uid},
            "spec": {"ephemeralContainers": containers},
        }))
    }
}

/// Starts one. `pod`: the pod, as it is watched. Fails with why, in words.
pub(super) async fn start<S: Speech>(
    pods: &Api<Pod>,
    events: &Api<Event>,
    mut pod: watch::Receiver<State>,
    place: &Place,
) -> Result<Attached<S>, String> {
    let name = format!("{PREFIX}{:08x}", rand::random::<u32>());
    let (params, patch) = (PatchParams::default(), place.patch(name.clone()));
    let patched = pods.patch_ephemeral_containers(&place.pod, &params, &patch).await;
    patched.map_err(|e| format!("its agent's container is refused: {}", words(&e)))?;
    runs(events, &mut pod, place, &name).await?;
    let params = AttachParams::default().container(name.as_str()).stdin(true);
    let params = params.stdout(true).stderr(true).tty(false);
    let attached = pods.attach(&place.pod, &params).await;
    let mut attached = attached.map_err(|e| format!("its agent's stream: {}", words(&e)))?;
    let (input, output) = (attached.stdin(), attached.stdout());
    let (Some(input), Some(output)) = (input, output) else {
        return Err("its agent's stream has no ends".into());
    };
    let lines = said(output, attached.stderr());
    let mut input: Input = Box::pin(Stdin { input, _process: attached });
    // It says hello only now: what it said before nobody would have heard.
    let greeted = async {
        input.write_all(b"{}\n").await?;
        input.flush().await
    };
    greeted.await.map_err(|e| format!("its agent's stream: {e}"))?;
    let met = Attached::meet(lines, input, place.lease).await;
    met.map_err(|why| match ended(&pod, &name) {
        Some(how) => format!("its agent {how}"),
        None => format!("its agent: {why}"),
    })
}

/// What it says, and what it complains of.
fn said(output: ReadHalf<SimplexStream>, errors: Option<ReadHalf<SimplexStream>>) -> Lines {
    let output = lines(ReaderStream::new(output).map(|part| part.map_err(|e| e.to_string())));
    let Some(errors) = errors else { return output };
    let complaint = |line: Result<String, String>| Err(line.unwrap_or_else(|why| why));
    let errors =
        lines(ReaderStream::new(errors).map(|part| part.map_err(|e| e.to_string()))).map(complaint);
    Box::pin(futures::stream::select(output, errors))
}

/// Waits until its container runs.
async fn runs(
    events: &Api<Event>,
    pod: &mut watch::Receiver<State>,
    place: &Place,
    name: &str,
) -> Result<(), String> {
    let refused = refusal(events, place, name);
    let deadline = Instant::now() + STARTING;
    let comes = async {
        loop {
            {
                let now = pod.borrow_and_update();
                if now.uid != place.uid {
                    return Err(format!("pod {} was made anew meanwhile", place.pod));
                }
                match helper(&now, name) {
                    Some(helper) if helper.running => return Ok(()),
                    Some(helper) => {
                        if let Some(how) = &helper.ended {
                            return Err(format!("its agent {how}"));
                        }
                    }
                    None => {}
                }
            }
            if pod.changed().await.is_err() {
                return Err("the cluster is not watched any more".into());
            }
        }
    };
    let late = || {
        let (pod, image) = (&place.pod, &place.image);
        format!(
            "its agent does not run within {STARTING:?} (image {image}): see `kubectl describe \
             pod {pod}`"
        )
    };
    let comes = async {
        tokio::select! {
            ran = comes => ran,
            why = refused => Err(why),
        }
    };
    timeout_at(deadline, comes).await.unwrap_or_else(|_| Err(late()))
}

/// Why the machine cannot start it, should it say so: only events tell of an image that cannot be pulled.
async fn refusal(events: &Api<Event>, place: &Place, name: &str) -> String {
    sleep(PATIENCE).await;
    let of_pod = format!("involvedObject.uid={},type=Warning", place.uid);
    let mut told = std::pin::pin!(watcher::watcher(
        events.clone(),
        watcher::Config::default().fields(&of_pod)
    ));
    let field = format!("spec.ephemeralContainers{{{name}}}");
    while let Some(event) = told.next().await {
        let event = match event {
            Ok(watcher::Event::Apply(event) | watcher::Event::InitApply(event)) => event,
            Ok(_) => continue,
            // Without the right to read events it is waited for instead.
            Err(_) => break,
        };
        if event.involved_object.field_path.as_deref() == Some(&field)
            && let Some(message) = event.message
        {
            let image = &place.image;
            return format!(
                "its agent cannot be started from image {image}: {}; `firedrill image` makes it, \
                 and the cluster's machines must be able to pull it (`agent_image`)",
                message.trim()
            );
        }
    }
    std::future::pending().await
}

fn ended(pod: &watch::Receiver<State>, name: &str) -> Option<String> {
    helper(&pod.borrow(), name)?.ended.clone()
}

/// An agent's input, which keeps the stream open that it goes through.
struct Stdin {
    input: WriteHalf<SimplexStream>,
    _process: AttachedProcess,
}

impl AsyncWrite for Stdin {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(context, bytes)
    }
    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(context)
    }
    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(context)
    }
}
