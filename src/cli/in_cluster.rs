//! `firedrill run --in-cluster`: the same drill, from within the cluster. It is started there, watched from here, and
//! what it left is brought back; its exit code is this one's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{RunArgs, Verbosity};
use super::exit::Exit;
use super::in_pod::{JSON, JUNIT, LAST_LINE, STDOUT};
use super::inputs;
use super::{CliError, cluster, manifests, signals, terminal};
use crate::drill::Stop;
use crate::scenario::Target;
use crate::target::kubernetes::Job;

/// How long a drill may take beyond its load: starting, agents, final reads, healing.
const BEYOND: Duration = Duration::from_secs(900);
/// How long to wait for a drill that was asked twice to end.
const GIVEN_UP: Duration = Duration::from_secs(20);

/// Runs one scenario there.
pub(super) fn run(args: &RunArgs, verbosity: Verbosity) -> Result<Exit, CliError> {
    let [file] = &inputs::files(&args.scenarios)?[..] else {
        return Err(CliError::Invalid("--in-cluster takes one scenario at a time".into()));
    };
    // Whoever starts it need not be allowed what the drill is.
    let input = match inputs::look(file, &args.variation) {
        Ok(input) => input,
        Err(refused) => {
            refused.say();
            return Ok(Exit::Invalid);
        }
    };
    let Target::Kubernetes(spec) = &input.scenario.target.value else {
        let (file, kind) = (&input.file, input.scenario.target.kind());
        return Err(CliError::Invalid(format!(
            "{file}: its target is {kind}: only pods are drilled from within a cluster"
        )));
    };
    let mut drill = manifests::drill_there(&input, spec, args.image.as_ref(), &args.variation)?;
    drill.watched = vec!["in-pod".into()];
    if args.variation.seed.is_none() {
        drill.arguments.extend(["--seed".into(), input.plan.seed.to_string()]);
    }
    let loud = (0..verbosity.verbose).map(|_| "-v".to_string());
    drill.arguments.extend(loud.chain(verbosity.quiet.then(|| "-q".to_string())));
    drill.arguments.extend(["--repeat".into(), args.repeat.to_string()]);
    for (asked, option, path) in [(&args.junit, "--junit", JUNIT), (&args.json, "--json", JSON)] {
        if asked.is_some() {
            drill.arguments.extend([option.into(), path.into()]);
        }
    }
    fs::create_dir_all(&args.out).map_err(|e| CliError::write(&args.out, e))?;
    let account = args.service_account.clone();
    let account = account.unwrap_or_else(|| cluster::object_name(&input.scenario.name));
    let limit = (input.plan.load + BEYOND).saturating_mul(args.repeat);
    let which = cluster::which(spec, file);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| CliError::Failed(format!("no runtime: {e}")))?;
    runtime.block_on(async {
        let stop = signals::watch()?;
        let job = tokio::select! {
            biased;
            () = stop.hard.cancelled() => return Ok(Exit::Inconclusive),
            job = Job::start(&which, &drill, &account, limit) => job,
        };
        let job = match job {
            Ok(job) => job,
            Err(refused) => {
                let scenario = &input.scenario;
                let place = scenario.target.place;
                let said = scenario.sources.diagnose(place, refused.why, refused.help);
                terminal::say(said.render().trim_end());
                return Ok(Exit::Invalid);
            }
        };
        let watched = watch(&job, args, &stop).await;
        let removed = job.remove().await.map_err(CliError::Failed);
        watched.and_then(|exit| removed.map(|()| exit))
    })
}

/// Shows what it prints until it ends, and brings back what it left.
async fn watch(job: &Job, args: &RunArgs, stop: &Stop) -> Result<Exit, CliError> {
    let mut code = None;
    let mut output = job.output();
    let shown = output.each(|line| {
        if let Some(last) = line.strip_prefix(LAST_LINE) {
            code = last.parse::<u8>().ok();
            return false;
        }
        terminal::say(line);
        true
    });
    let asked = async {
        stop.soft.cancelled().await;
        ask_to_end(job).await;
        stop.hard.cancelled().await;
        ask_to_end(job).await;
        tokio::time::sleep(GIVEN_UP).await;
    };
    let ended = tokio::select! {
        ended = shown => {
            ended.map_err(|why| CliError::Failed(format!("the drill's output: {why}")))?
        }
        () = asked => {
            terminal::say("the drill in the cluster does not end; its pod is removed, and heals");
            return Ok(Exit::Inconclusive);
        }
    };
    if !ended {
        return Err(CliError::Failed(
            "the drill's pod ended before its record could be brought back".into(),
        ));
    }
    bring_back(job, args).await?;
    Ok(code.and_then(Exit::of_code).unwrap_or(Exit::Inconclusive))
}

async fn ask_to_end(job: &Job) {
    if let Err(why) = job.run(&["/firedrill", "in-pod-stop"]).await {
        terminal::say(&why);
    }
}

/// The runs' folders to where they would be, the reports to where they were asked for, and what is for programs to
/// standard output.
async fn bring_back(job: &Job, args: &RunArgs) -> Result<(), CliError> {
    let archive = job.run(&["/firedrill", "in-pod-fetch"]).await.map_err(CliError::Failed)?;
    let failed = |e: std::io::Error| CliError::Failed(format!("the record that came back: {e}"));
    let folder = tempfile(&args.out).map_err(failed)?;
    let came = (|| {
        tar::Archive::new(&archive[..]).unpack(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let is_run = entry.path().join(super::run::SCENARIO_FILE).is_file();
            if is_run {
                fs::rename(entry.path(), args.out.join(entry.file_name()))?;
            }
        }
        for (path, asked) in [(JUNIT, &args.junit), (JSON, &args.json)] {
            let name = Path::new(path).file_name().unwrap_or_default();
            if let Some(asked) = asked {
                fs::copy(folder.join(name), asked)?;
            }
        }
        fs::read_to_string(folder.join(STDOUT))
    })();
    let _ = fs::remove_dir_all(&folder);
    terminal::data(&came.map_err(failed)?)?;
    // It waits for that no longer than it has to.
    job.run(&["/firedrill", "in-pod-fetch", "--done"]).await.map(drop).map_err(CliError::Failed)
}

/// A folder beside the runs': what is renamed must stay on its file system.
fn tempfile(out: &Path) -> std::io::Result<PathBuf> {
    let folder = out.join(format!(".fetched-{:08x}", rand::random::<u32>()));
    fs::create_dir(&folder)?;
    Ok(folder)
}
