//! A drill that runs in the cluster and is watched from here: a Job of the template that [`super::manifest`] prints,
//! its scenario beside it, its output as it comes, and commands run in its pod.
//!
//! Invariant: what was made is removed by [`Job::remove`]; where nobody lives to do that, the cluster removes it some
//! time after the drill, which has a time limit of its own. Deliberately absent: what its commands are.

use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use kube::api::{AttachParams, DeleteParams, DynamicObject, ListParams, LogParams, PostParams};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

use super::cluster::{self, Cluster, Which, is_absent, is_missing, words};
use super::manifest::{Scheduled, cron_job};
use super::objects::{ContainerState, Pod};
use super::refused::Refused;
use super::rights::{Need, roles};
use super::survey::missing;

/// How long the cluster may take to make a pod, and to say why it cannot.
const POD: Duration = Duration::from_secs(30);
/// How long the pod may take to start, once nothing is known to keep it from that.
const STARTED: Duration = Duration::from_secs(120);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(500);
/// How long a command in the pod may take.
const COMMAND: Duration = Duration::from_secs(60);
/// How long after its end the cluster keeps what nobody removed, in seconds.
const KEPT: i32 = 600;
/// What a pod waits for that will not come.
const HOPELESS: &[&str] =
    &["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];
/// The role that allows a drill in the cluster to be started and watched.
const ROLE: &str = "firedrill-starter";

/// A drill that runs in the cluster.
#[derive(Debug)]
pub struct Job {
    cluster: Cluster,
    name: String,
    pod: String,
}

/// What was printed in a pod, line by line.
#[derive(Debug)]
pub struct Output<'a> {
    job: &'a Job,
    seen: usize,
}

/// What starting and watching one takes.
fn needs() -> Vec<Need> {
    let need = |verb, group, what, why: &str| Need::new(verb, group, what, why);
    let (start, watch, remove) = (
        "to start the drill",
        "to watch the drill and bring its record back",
        "to remove it again",
    );
    vec![
        need("create", "batch", "jobs", start),
        need("create", "", "configmaps", start),
        need("list", "", "pods", watch),
        need("get", "", "pods", watch),
        need("get", "", "pods/log", watch),
        need("get", "", "pods/exec", watch),
        need("create", "", "pods/exec", watch),
        need("delete", "batch", "jobs", remove),
        need("delete", "", "configmaps", remove),
    ]
}

impl Job {
    /// Starts it, once it is known that all is allowed that this takes. `limit`: after so long the cluster ends it.
    /// Fails with what keeps it from starting, and leaves nothing.
    pub async fn start(
        which: &Which,
        drill: &Scheduled,
        account: &str,
        limit: Duration,
    ) -> Result<Job, Refused> {
        let cluster = cluster::connect(which).await?;
        let missing = missing(&cluster, &needs()).await?;
        if !missing.is_empty() {
            let missing: Vec<String> =
                missing.iter().map(|need| need.told(&which.namespace)).collect();
            let why = format!(
                "a drill in the cluster needs what it does not allow:\n    {}",
                missing.join("\n    ")
            );
            let roles = roles(&needs(), ROLE, &which.namespace);
            return Err(Refused::for_want(why, format!("a role that allows it:\n{roles}")));
        }
        match cluster.accounts().get(account).await {
            Err(e) if is_missing(&e) => {
                let why = format!(
                    "there is no service account {account} in namespace {}, as which it would \
                     drill",
                    which.namespace
                );
                let help = "`firedrill manifests rbac SCENARIO | kubectl apply -f -` makes one \
                            with the rights of this scenario; or name another (--service-account)";
                return Err(Refused::for_want(why, help));
            }
            // Who may not look goes on: if it is not there, no pod comes.
            _ => {}
        }
        let name = format!("{}-{:04x}", drill.name, rand::random::<u16>());
        let (job, scenario) = objects(drill, &name, account, limit)
            .map_err(|why| Refused::because(format!("no manifest of it: {why}")))?;
        let made = cluster.jobs().create(&PostParams::default(), &job).await;
        let made = made.map_err(|e| Refused::because(format!("job {name}: {}", words(&e))))?;
        let mut own = Job { cluster, name, pod: String::new() };
        match own.begin(scenario, &made).await {
            Ok(()) => Ok(own),
            Err(why) => {
                let left = own.remove().await;
                let why = left.map_or_else(|left| format!("{why}; {left}"), |()| why.clone());
                Err(Refused::because(why))
            }
        }
    }

    async fn begin(
        &mut self,
        mut scenario: DynamicObject,
        job: &DynamicObject,
    ) -> Result<(), String> {
        let uid = job.metadata.uid.clone().unwrap_or_default();
        let owner =
            json!([{"apiVersion": "batch/v1", "kind": "Job", "name": self.name, "uid": uid}]);
        // Where nobody removes it, it goes with the job.
        scenario.metadata.owner_references = serde_json::from_value(owner).ok();
        let made = self.cluster.config_maps().create(&PostParams::default(), &scenario).await;
        made.map_err(|e| format!("config map {}: {}", self.name, words(&e)))?;
        self.pod = self.made().await?;
        self.started().await
    }

    /// The pod that the cluster makes of it.
    async fn made(&self) -> Result<String, String> {
        let began = Instant::now();
        let params =
            ListParams::default().labels(&format!("batch.kubernetes.io/job-name={}", self.name));
        while began.elapsed() < POD {
            let pods = self.cluster.pods().list(&params).await.map_err(|e| words(&e))?;
            if let Some(name) = pods.into_iter().find_map(|pod| pod.metadata.name) {
                return Ok(name);
            }
            sleep(LOOK).await;
        }
        let name = &self.name;
        Err(format!("no pod came of job {name} within {POD:?}: see `kubectl describe job {name}`"))
    }

    async fn look(&self) -> Result<Pod, String> {
        self.cluster
            .pods()
            .get(&self.pod)
            .await
            .map_err(|e| format!("pod {}: {}", self.pod, words(&e)))
    }

    async fn started(&self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let pod = self.look().await?;
            if !is_waiting(&pod) {
                return Ok(());
            }
            let (reason, message) = waits_for(&pod);
            if HOPELESS.contains(&reason.as_str()) || began.elapsed() >= STARTED {
                return Err(format!("pod {} does not start: {reason}: {message}", self.pod));
            }
            sleep(LOOK).await;
        }
    }

    /// What it prints, from the beginning.
    pub fn output(&self) -> Output<'_> {
        Output { job: self, seen: 0 }
    }

    /// Runs a command in its pod, and hands over what it prints.
    pub async fn run(&self, command: &[&str]) -> Result<Vec<u8>, String> {
        let params = AttachParams::default().stdin(false).stdout(true).stderr(true);
        let ran = async {
            let mut process =
                self.cluster.pods().exec(&self.pod, command.iter().copied(), &params).await;
            let process = process.as_mut().map_err(|e| words(e))?;
            let (mut out, mut complaint) = (vec![], String::new());
            let status = process.take_status();
            let (stdout, stderr) = (process.stdout(), process.stderr());
            let (Some(mut stdout), Some(mut stderr)) = (stdout, stderr) else {
                return Err("it has no streams".to_string());
            };
            let read = futures::future::join(
                stdout.read_to_end(&mut out),
                stderr.read_to_string(&mut complaint),
            );
            let (read, _) = read.await;
            read.map_err(|e| e.to_string())?;
            match status {
                Some(status) => match status.await {
                    Some(status) if status.status.as_deref() == Some("Success") => Ok(out),
                    Some(status) => {
                        Err(format!("{} {complaint}", status.message.unwrap_or_default()))
                    }
                    None => Err("its end is not known".into()),
                },
                None => Ok(out),
            }
        };
        let ran = timeout(COMMAND, ran).await;
        let ran = ran.unwrap_or_else(|_| Err(format!("not done within {COMMAND:?}")));
        ran.map_err(|why| format!("`{}` in pod {}: {why}", command.join(" "), self.pod))
    }

    /// Removes what was made of it.
    pub async fn remove(&self) -> Result<(), String> {
        let (name, namespace) = (&self.name, self.cluster.namespace());
        let by_hand = |e: kube::Error| {
            format!(
                "job {name} is left ({}): \
                 `kubectl --namespace {namespace} delete job,configmap {name}`",
                words(&e)
            )
        };
        let deleted = self.cluster.jobs().delete(name, &DeleteParams::background()).await;
        deleted.map(drop).or_else(|e| if is_absent(&e) { Ok(()) } else { Err(by_hand(e)) })?;
        let deleted = self.cluster.config_maps().delete(name, &DeleteParams::default()).await;
        deleted.map(drop).or_else(|e| if is_absent(&e) { Ok(()) } else { Err(by_hand(e)) })
    }
}

impl Output<'_> {
    /// Hands over each line that was not handed over yet, until one is the last by what `line` says (`false`), or the
    /// pod has ended. Whether there was a last one. Where the stream breaks it is taken up again.
    pub async fn each(&mut self, mut line: impl FnMut(&str) -> bool) -> Result<bool, String> {
        loop {
            let params = LogParams { follow: true, ..LogParams::default() };
            let stream = self.job.cluster.pods().log_stream(&self.job.pod, &params).await;
            let mut lines = stream.map_err(|e| words(&e))?.lines();
            let mut number = 0;
            while let Ok(Some(text)) = lines.try_next().await {
                number += 1;
                if number <= self.seen {
                    continue;
                }
                self.seen = number;
                if !line(&text) {
                    return Ok(true);
                }
            }
            let pod = self.job.look().await?;
            if !is_running(&pod) {
                return Ok(false);
            }
            sleep(LOOK).await;
        }
    }
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerState> {
    let status = pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
    status.filter_map(|status| status.state.as_ref())
}

fn is_running(pod: &Pod) -> bool {
    statuses(pod).any(|state| state.running.is_some())
}

fn is_waiting(pod: &Pod) -> bool {
    !statuses(pod).any(|state| state.running.is_some() || state.terminated.is_some())
}

/// What it waits for, in the cluster's word and in more words.
fn waits_for(pod: &Pod) -> (String, String) {
    let waiting = statuses(pod).find_map(|state| state.waiting.clone()).unwrap_or_default();
    let unplaced = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    let unplaced = unplaced.filter(|c| c.status == "False").find_map(|c| c.message.clone());
    let reason = waiting.reason.unwrap_or_else(|| "Pending".into());
    (reason, waiting.message.or(unplaced).unwrap_or_else(|| "the cluster does not say why".into()))
}

/// The job and its scenario, of the template that is printed for a schedule.
fn objects(
    drill: &Scheduled,
    name: &str,
    account: &str,
    limit: Duration,
) -> Result<(DynamicObject, DynamicObject), String> {
    let named = Scheduled { name: name.to_string(), ..drill.clone() };
    let text = cron_job(&named);
    let documents: Vec<Value> = serde_yaml::from_multiple(&text).map_err(|e| e.to_string())?;
    let [scenario, cron] = &documents[..] else { return Err("not two objects".into()) };
    let mut spec = cron["spec"]["jobTemplate"]["spec"].clone();
    spec["ttlSecondsAfterFinished"] = json!(KEPT);
    spec["activeDeadlineSeconds"] = json!(limit.as_secs());
    spec["template"]["spec"]["serviceAccountName"] = json!(account);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": cron["metadata"], "spec": spec,
    });
    let job = serde_json::from_value(job).map_err(|e| e.to_string())?;
    let scenario = serde_json::from_value(scenario.clone()).map_err(|e| e.to_string())?;
    Ok((job, scenario))
}
