//! What the target of a scenario can do, asked while planning. An engine is asked only where it matters, and once.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::agent::beside::protocol::Shaping;
use crate::condition::{Closed, Condition, Port, Power};
use crate::control;
use crate::scenario::{self, Target};
use crate::target::{docker, kubernetes, local};

/// What an engine said, or why it said nothing.
type Said = Result<Shaping, String>;

/// What engines said before: a scenario that is repeated is planned anew each time.
static ASKED: Mutex<BTreeMap<Option<String>, Said>> = Mutex::new(BTreeMap::new());

/// The target of one scenario.
#[derive(Debug)]
pub(super) struct Abilities<'a> {
    target: &'a Target,
    shaping: OnceCell<Said>,
}

impl<'a> Abilities<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        Abilities { target, shaping: OnceCell::new() }
    }

    /// Why it cannot make a condition true, and what could. An engine that does not answer is no reason here: a
    /// plan can be read without one, and a drill says so itself.
    pub(super) fn cannot(&self, condition: &Condition) -> Option<String> {
        match self.target {
            Target::Local(_) => local::cannot(condition),
            Target::Docker(spec) => unnamed(spec.ports.keys(), condition)
                .or_else(|| docker::cannot(condition))
                .or_else(|| self.cannot_shape(spec, condition)),
            Target::Kubernetes(spec) => unnamed(spec.ports.keys(), condition)
                .or_else(|| kubernetes::cannot(condition))
                .or_else(|| unpowered(spec, condition))
                .or_else(|| uncontrolled(spec, condition))
                .or_else(|| unmade(spec, condition)),
        }
    }

    fn cannot_shape(&self, spec: &scenario::Docker, condition: &Condition) -> Option<String> {
        if !control::is_shaped(condition) {
            return None;
        }
        let said = self.shaping.get_or_init(|| ask(spec.engine.as_deref()));
        control::cannot_shape(condition, said.as_ref().ok()?)
    }

    /// By what links will be shaped, in words; `None` where it did not matter.
    pub(super) fn shaping(&self) -> Option<String> {
        Some(match self.shaping.get()? {
            Ok(Shaping::Netem) => "the kernel's netem".into(),
            Ok(Shaping::Tap(no_netem)) => {
                format!("the agent's own shaper, behind a TAP device: {no_netem}")
            }
            Ok(Shaping::Nothing(why)) => format!("nothing: {why}"),
            Err(why) => format!("not known yet: {why}"),
        })
    }
}

/// An agent that there is no image of.
fn unmade(spec: &scenario::Kubernetes, condition: &Condition) -> Option<String> {
    (spec.agent_image.is_none() && kubernetes::needs_agent(condition)).then(|| {
        "an agent has to join its pods, and nothing says of which image: `firedrill image` makes \
         one, `agent_image` names it"
            .to_string()
    })
}

/// A machine that nobody said how to switch off or cut off. Of one that is lost with its zone the API does the rest.
fn unpowered(spec: &scenario::Kubernetes, condition: &Condition) -> Option<String> {
    let (known, names) = match condition.machine.power {
        Power::On => return None,
        Power::Cut => (spec.node_commands.cut.is_some(), "`cut` and `join`"),
        Power::Off => (spec.node_commands.off.is_some(), "`kill` and `start`"),
    };
    (!known && condition.machine.closed != Closed::Zone).then(|| {
        format!(
            "its API cannot do this to a machine: say how in the target's `node_commands`, as \
             {names}"
        )
    })
}

/// A controller that is not named.
fn uncontrolled(spec: &scenario::Kubernetes, condition: &Condition) -> Option<String> {
    let named = spec.statefulset.is_some() || spec.deployment.is_some();
    (!named && !condition.controller.is_healthy()).then(|| {
        "nothing says which controller is meant: choose the pods by `statefulset` or `deployment`"
            .to_string()
    })
}

/// A port that is called by a name which the target does not give.
fn unnamed<'a>(known: impl Iterator<Item = &'a String>, condition: &Condition) -> Option<String> {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let links = &condition.links;
    let mut ports = links.ports_from.values().chain(links.ports_to.values()).flatten();
    let unknown = ports.find_map(|port| match port {
        Port::Name(name) if !known.contains(&name.as_str()) => Some(name),
        Port::Name(_) | Port::Number(_) => None,
    })?;
    Some(match known.is_empty() {
        true => format!("it names no ports (the target's `ports`), so none is called `{unknown}`"),
        false => format!("none of its ports is called `{unknown}`; there are {}", known.join(", ")),
    })
}

fn ask(engine: Option<&str>) -> Said {
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    let key = engine.map(String::from);
    asked.entry(key).or_insert_with(|| ask_anew(engine)).clone()
}

fn ask_anew(engine: Option<&str>) -> Said {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("no runtime: {e}"))?;
    let said = runtime.block_on(docker::shaping(engine, &super::own_binary()));
    said.map_err(|e| e.to_string())
}
