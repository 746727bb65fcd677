//! `firedrill manifests`: what a cluster is given so that it drills itself, as YAML for `kubectl apply`.

use super::args::{CronJobArgs, Manifests, ManifestsArgs, Variation};
use super::exit::Exit;
use super::inputs::{self, Input};
use super::{CliError, cluster, terminal};
use crate::image::Reference;
use crate::scenario::{self, Target};
use crate::target::kubernetes::{self, Scheduled, Survey};

/// Prints them.
pub(super) fn manifests(args: ManifestsArgs) -> Result<Exit, CliError> {
    let (file, variation) = match &args.what {
        Manifests::Rbac(drill) => (&drill.scenario, &drill.variation),
        Manifests::Cronjob(job) => (&job.drill.scenario, &job.drill.variation),
    };
    // Whoever prints them need not be allowed what they allow.
    let input = match inputs::look(file, variation) {
        Ok(input) => input,
        Err(refused) => {
            refused.say();
            return Ok(Exit::Invalid);
        }
    };
    let (Target::Kubernetes(spec), Some(survey)) = (&input.scenario.target.value, &input.survey)
    else {
        let (file, kind) = (&input.file, input.scenario.target.kind());
        return Err(CliError::Invalid(format!(
            "{file}: its target is {kind}: manifests are for scenarios of the target kubernetes"
        )));
    };
    let text = match &args.what {
        Manifests::Rbac(_) => rbac(&input, spec, survey),
        Manifests::Cronjob(job) => cron_job(&input, spec, job)?,
    };
    terminal::data(&text)?;
    Ok(Exit::Pass)
}

fn rbac(input: &Input, spec: &scenario::Kubernetes, survey: &Survey) -> String {
    let needs = survey.needs(&cluster::faults(&input.scenario, survey));
    let name = cluster::object_name(&input.scenario.name);
    kubernetes::rbac(&needs, &name, &spec.namespace)
}

fn cron_job(
    input: &Input,
    spec: &scenario::Kubernetes,
    job: &CronJobArgs,
) -> Result<String, CliError> {
    let mut drill = drill_there(input, spec, job.image.as_ref(), &job.drill.variation)?;
    drill.schedule.clone_from(&job.schedule);
    drill.claim.clone_from(&job.claim);
    Ok(kubernetes::cron_job(&drill))
}

/// A drill that runs in the cluster: what it is made of.
pub(super) fn drill_there(
    input: &Input,
    spec: &scenario::Kubernetes,
    image: Option<&Reference>,
    variation: &Variation,
) -> Result<Scheduled, CliError> {
    let wrong = |why: &str| CliError::Invalid(format!("{}: {why}", input.file));
    if spec.kubeconfig.is_some() || spec.context.is_some() {
        return Err(wrong(
            "it names a kubeconfig file or a context, which there are none of in the cluster: \
             leave them out, and say KUBECONFIG here",
        ));
    }
    let image = image.map(ToString::to_string).or_else(|| spec.agent_image.clone());
    let image = image.ok_or_else(|| wrong("which image is to drill? --image, or `agent_image`"))?;
    let mut arguments = vec![];
    if let Some(target) = variation.target {
        arguments.extend(["--target".to_string(), target.name().to_string()]);
    }
    if let Some(seed) = variation.seed {
        arguments.extend(["--seed".to_string(), seed.to_string()]);
    }
    for (path, value) in &variation.set {
        arguments.extend(["--set".to_string(), format!("{path}={value}")]);
    }
    Ok(Scheduled {
        name: cluster::object_name(&input.scenario.name),
        namespace: spec.namespace.clone(),
        schedule: String::new(),
        image,
        pull_policy: cluster::pull_policy(spec).into(),
        scenario: input.source.clone(),
        watched: vec![],
        arguments,
        claim: None,
    })
}
