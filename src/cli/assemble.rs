//! From what a scenario says to what a drill needs: the one place that knows both.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::inputs::Input;
use super::{CliError, containers};
use crate::check::Spec;
use crate::check::streaming::Streaming;
use crate::drill::guard::Guard;
use crate::drill::lookout::Lookout;
use crate::drill::{self, Command, MakeDriver, SteadyState};
use crate::history::{Call, Header, Outcome, Process, Time, WorkloadFacts};
use crate::inventory::AddressBook;
use crate::scenario::{self, ClientSpec, Hook, Scenario, Template, TemplateError, Workload};
use crate::target::{Target, local};
#[cfg(feature = "postgres")]
use crate::workload::client::postgres;
#[cfg(feature = "redis")]
use crate::workload::client::redis;
use crate::workload::client::{Driver, etcd, exec, http, store};
use crate::workload::generate::Mix;
use crate::workload::{Model, engine};

/// How long the healed system is left in peace before the final reads.
const SETTLE: Duration = Duration::from_secs(2);

/// Where a run has its things.
#[derive(Debug, Clone)]
pub struct Places {
    /// The run's name.
    pub run: String,
    /// The run's folder, which stays.
    pub folder: PathBuf,
    /// The nodes' data, which does not.
    pub data: PathBuf,
    /// The firedrill binary.
    pub binary: PathBuf,
}

/// The target of a run. Nothing is started yet.
pub fn target(input: &Input, places: &Places) -> Result<Arc<dyn Target>, CliError> {
    let local = match &input.scenario.target.value {
        scenario::Target::Local(local) => local,
        scenario::Target::Docker(docker) => {
            return Ok(Arc::new(containers::target(docker, input, places)?));
        }
        scenario::Target::Kubernetes(spec) => {
            return Ok(Arc::new(super::cluster::target(spec, input, places)));
        }
    };
    let nodes = input.plan.inventory.nodes().iter().map(|n| (n.id.clone(), n.zone.clone()));
    let options = local::Options {
        run: places.run.clone(),
        folder: places.folder.clone(),
        data: places.data.clone(),
        nodes: nodes.collect(),
        command: command(local, &places.binary)?,
        env: local.env.iter().map(|(name, text)| (name.clone(), text.value.clone())).collect(),
        ports: local.ports.value.clone(),
        peers: local.peers.value.clone(),
        ready_port: local.ready.port.value.clone(),
        ready_timeout: local.ready.timeout.0,
        stop_timeout: local.stop_timeout.0,
        binary: places.binary.clone(),
    };
    let target = local::Local::new(options).map_err(|e| CliError::Invalid(e.to_string()))?;
    Ok(Arc::new(target))
}

/// The command of a node: the user's, or the embedded store.
fn command(local: &scenario::Local, binary: &Path) -> Result<Vec<Template>, CliError> {
    if let Some(command) = &local.command {
        return Ok(command.iter().map(|template| template.value.clone()).collect());
    }
    let mut argv = vec![Template::literal(binary.to_string_lossy())];
    let store = "store --name {name} --listen-client {listen.client} --listen-peer {listen.peer} \
                 --member {peers} --data {data}";
    let words = store.split_whitespace().map(str::parse).collect::<Result<Vec<_>, _>>();
    argv.extend(words.map_err(|e: TemplateError| CliError::Invalid(e.to_string()))?);
    for bug in local.bugs.iter() {
        argv.extend(["--bug", bug.name()].map(Template::literal));
    }
    Ok(argv)
}

/// What makes the clients once it is known where the nodes are.
pub fn driver(scenario: &Scenario, run: &str) -> MakeDriver {
    let workload = scenario.workload.clone();
    let run = run.to_string();
    let salt = rand::random(); // tells this run's writes from those of another
    Box::new(move |book: &AddressBook| {
        let timeout = workload.timeout.0;
        let driver: Arc<dyn Driver> = match workload.client {
            ClientSpec::Store => {
                let opening = (workload.model == Model::Bank)
                    .then_some((workload.keys.value, Model::OPENING_BALANCE));
                Arc::new(store::StoreDriver::new(book, timeout, salt, opening))
            }
            ClientSpec::Etcd => {
                let Workload { model, keys, .. } = workload;
                Arc::new(etcd::Etcd::new(book, model, keys.value, timeout, &run)?)
            }
            #[cfg(feature = "redis")]
            ClientSpec::Redis(client) => {
                let scenario::RedisClient { master, username, password } = client;
                let options = redis::Options { master, username, password };
                Arc::new(redis::Redis::new(book, options, timeout, &run)?)
            }
            #[cfg(feature = "postgres")]
            ClientSpec::Postgres(client) => {
                let scenario::PostgresClient { user, password, database } = client;
                let Workload { model, keys, .. } = workload;
                let login = postgres::Login { user, password, database };
                Arc::new(postgres::Postgres::new(book, login, model, keys.value, timeout, &run)?)
            }
            #[cfg(not(feature = "redis"))]
            ClientSpec::Redis(_) => return Err(not_built("redis")),
            #[cfg(not(feature = "postgres"))]
            ClientSpec::Postgres(_) => return Err(not_built("postgres")),
            ClientSpec::Http(client) => {
                let scenario::HttpClient { url, path, port } = client;
                let place = url.map_or(http::Where::Nodes { port, path }, http::Where::Url);
                Arc::new(http::Http::new(book, place, timeout)?)
            }
            ClientSpec::Exec(client) => Arc::new(exec::Exec::new(exec::Options {
                command: client.command.into(),
                book: book.clone(),
                model: workload.model,
                keys: workload.keys.value,
                timeout,
                run,
            })),
        };
        Ok(driver)
    })
}

/// Validation has said so with the scenario's line; this is for who drives without it.
#[cfg(not(all(feature = "redis", feature = "postgres")))]
fn not_built(client: &'static str) -> crate::workload::client::ClientError {
    let why = "this firedrill was built without it".into();
    crate::workload::client::ClientError { client, why }
}

/// Everything else that a drill needs to know.
pub fn options(input: &Input, places: &Places, began: String) -> drill::Options {
    let Input { scenario, plan, .. } = input;
    let workload = &scenario.workload;
    let header = Header {
        run: places.run.clone(),
        scenario: scenario.name.clone(),
        file: input.file.clone(),
        labels: scenario.labels.clone(),
        seed: plan.seed,
        plan_digest: plan.digest(),
        target: plan.target.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        began,
        inventory: plan.inventory.clone(),
        workload: WorkloadFacts {
            client: workload.client.name().into(),
            model: workload.model.to_string(),
            workers: workload.workers(),
            rate: workload.rate,
            keys: workload.keys.value,
            timeout: workload.timeout,
        },
    };
    let steady = &scenario.steady_state;
    let fail_fast = scenario.fail_fast.is_some_and(|fast| fast.value);
    let guard = |spec: &scenario::GuardSpec| Guard {
        availability: spec.abort_when.availability,
        window: spec.abort_when.length.0,
    };
    drill::Options {
        folder: places.folder.clone(),
        header,
        plan: plan.clone(),
        steady: SteadyState { window: steady.window.0, success: steady.success, rate: steady.rate },
        guards: scenario.guards.iter().map(guard).collect(),
        setup: scenario.setup.iter().map(hook).collect(),
        teardown: scenario.teardown.iter().map(hook).collect(),
        workload: engine::Options {
            model: workload.model,
            mix: Mix::of(workload.model),
            keys: workload.keys.value,
            seed: plan.seed,
            rate: workload.rate,
            workers: workload.workers(),
            timeout: workload.timeout.0,
            from: Default::default(),
            until: Default::default(),
        },
        settle: SETTLE,
        redundancy: redundancy(scenario),
        lookout: fail_fast.then(|| Box::<Followed>::default() as Box<dyn Lookout>),
    }
}

/// Judges operations while the drill goes.
#[derive(Debug, Default)]
struct Followed(Streaming);

impl Lookout for Followed {
    fn invoked(&mut self, id: u64, process: Process, at: Time, call: &Call) {
        self.0.invoked(id, process, at, call);
    }
    fn returned(&mut self, id: u64, at: Time, outcome: &Outcome) -> Option<String> {
        let found = self.0.returned(id, at, outcome)?;
        Some(match found.words.starts_with("register ") {
            true => found.words,
            false => format!("log k{}: {}", found.key, found.words),
        })
    }
}

/// How long members may take to be back after a heal: as long as the most patient check allows.
fn redundancy(scenario: &Scenario) -> Option<Duration> {
    let checks = scenario.checks.iter();
    let within = checks.filter_map(|check| match &check.value {
        Spec::Redundancy(spec) => Some(spec.within.0),
        _ => None,
    });
    within.max()
}

fn hook(hook: &Hook) -> Command {
    Command { argv: hook.run.clone().into(), limit: hook.timeout.0 }
}

/// The scenario's checks, each with its line.
pub fn checks(scenario: &Scenario) -> Vec<(Spec, Option<u32>)> {
    let line =
        |place: crate::fault::Place| (place.is_known() && place.source == 0).then_some(place.line);
    scenario.checks.iter().map(|check| (check.value.clone(), line(check.place))).collect()
}
