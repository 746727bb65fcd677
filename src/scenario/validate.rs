//! Rules that bind several fields together, each told at the place of the field that breaks it.

use std::collections::BTreeMap;

use super::diagnostic::Diagnostic;
use super::placeholders::Variable;
use super::suggest;
use super::target::{Docker, Kubernetes, LOCAL_NODES_MAX, Local, Target};
use super::{ClientSpec, Scenario, Template};
use crate::check::Spec;
use crate::fault::{At, Place};
use crate::workload::Model;

/// What is wrong with a scenario that could be read, in the order of the places.
pub fn validate(scenario: &Scenario) -> Vec<Diagnostic> {
    let mut rules = Rules { scenario, found: vec![] };
    if let Target::Local(local) = &scenario.target.value {
        rules.nodes(local);
        rules.ports(local);
        rules.templates(local);
        rules.store(local);
    }
    if let Target::Docker(docker) = &scenario.target.value {
        rules.containers(docker);
    }
    if let Target::Kubernetes(pods) = &scenario.target.value {
        rules.pods(pods);
    }
    rules.targets();
    rules.keys();
    rules.checks();
    rules.client();
    rules.built();
    rules.asked();
    rules.found.sort_by_key(|(place, _)| *place);
    rules.found.into_iter().map(|(_, diagnostic)| diagnostic).collect()
}

struct Rules<'a> {
    scenario: &'a Scenario,
    found: Vec<(Place, Diagnostic)>,
}

impl Rules<'_> {
    fn refuse(&mut self, place: Place, message: impl Into<String>, help: Option<String>) {
        self.found.push((place, self.scenario.sources.diagnose(place, message, help)));
    }

    /// `--target` names one: there is one of each kind.
    fn targets(&mut self) {
        let mut known = vec![self.scenario.target.kind()];
        // Chosen, it stands in both places.
        let others = self.scenario.targets.iter().filter(|t| t.place != self.scenario.target.place);
        for other in others {
            let kind = other.kind();
            if known.contains(&kind) {
                self.refuse(other.place, format!("a second target `{kind}`"), None);
            }
            known.push(kind);
        }
    }

    /// Which containers are the nodes is said once, and ports that are waited for are there.
    fn containers(&mut self, docker: &Docker) {
        self.chosen_once(&[
            ("compose", docker.compose.as_ref().map(|at| at.place)),
            ("project", docker.project.as_ref().map(|at| at.place)),
            ("selector", docker.selector.as_ref().map(|at| at.place)),
            ("containers", docker.containers.as_ref().map(|at| at.place)),
        ]);
        self.awaited(&docker.ready.port, &docker.ports);
    }

    /// Which pods are the nodes is said once, and by something; ports that are waited for are there.
    fn pods(&mut self, pods: &Kubernetes) {
        self.chosen_once(&[
            ("selector", pods.selector.as_ref().map(|at| at.place)),
            ("statefulset", pods.statefulset.as_ref().map(|at| at.place)),
            ("deployment", pods.deployment.as_ref().map(|at| at.place)),
            ("pods", pods.pods.as_ref().map(|at| at.place)),
        ]);
        let named = [&pods.selector, &pods.statefulset, &pods.deployment];
        let named = named.into_iter().flatten().find(|at| at.trim().is_empty());
        let empty = named.map(|at| at.place);
        let none = pods.pods.as_ref().filter(|at| at.is_empty()).map(|at| at.place);
        if let Some(place) = empty.or(none) {
            self.refuse(place, "expected which pods are the nodes, found nothing", None);
        }
        self.awaited(&pods.ready.port, &pods.ports);
    }

    /// Which nodes are meant is said in one of several ways.
    fn chosen_once(&mut self, ways: &[(&str, Option<Place>)]) {
        let mut said = ways.iter().filter_map(|(_, place)| *place);
        let (place, found) = match (said.next(), said.next()) {
            (None, _) => (self.scenario.target.place, "none"),
            (Some(_), Some(second)) => (second, "several"),
            (Some(_), None) => return,
        };
        let names: Vec<String> = ways.iter().map(|(name, _)| format!("`{name}`")).collect();
        let choice = match names.split_last() {
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        };
        self.refuse(place, format!("expected one of {choice}, found {found}"), None);
    }

    fn awaited(&mut self, port: &At<String>, ports: &BTreeMap<String, u16>) {
        if port.place.is_known() && !ports.contains_key(&port.value) {
            let known: Vec<&str> = ports.keys().map(String::as_str).collect();
            let message = format!("there is no port `{}` in `ports`", port.value);
            self.refuse(port.place, message, suggest::remedy(&port.value, &known));
        }
    }

    fn nodes(&mut self, local: &Local) {
        match (&local.zones, &local.nodes) {
            (Some(_), Some(nodes)) => {
                self.refuse(nodes.place, "expected either `zones` or `nodes`, found both", None);
            }
            (Some(zones), None) => {
                let total: u64 = zones.values().map(|n| u64::from(*n)).sum();
                self.count(zones.place, total);
                self.names(zones.place, "zone", zones.keys());
            }
            (None, Some(nodes)) => {
                self.count(nodes.place, nodes.len() as u64);
                self.names(nodes.place, "node", nodes.keys());
                self.names(nodes.place, "zone", nodes.values());
            }
            (None, None) => {}
        }
    }

    fn count(&mut self, place: Place, total: u64) {
        if !(1..=LOCAL_NODES_MAX as u64).contains(&total) {
            let message = format!("expected 1 to {LOCAL_NODES_MAX} nodes in all, found {total}");
            self.refuse(place, message, None);
        }
    }

    /// Names become part of file names and of node lists.
    fn names<'n>(&mut self, place: Place, kind: &str, names: impl Iterator<Item = &'n String>) {
        let reserved = ["one", "minority", "majority", "all", "leader", "follower", "followers"];
        for name in names {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.is_empty()
                || name.len() > 63
                || name.starts_with('.')
                || !name.chars().all(fits)
            {
                let message = format!("`{name}` is no name for a {kind}");
                let help = "letters, digits, `-`, `_` and `.`, at most 63".to_string();
                self.refuse(place, message, Some(help));
            } else if reserved.contains(&name.as_str()) {
                let message = format!("`{name}` has a meaning of its own: no name for a {kind}");
                self.refuse(place, message, None);
            }
        }
    }

    fn ports(&mut self, local: &Local) {
        if !local.ports.contains(&local.ready.port.value) {
            let message = format!("unknown port `{}`", local.ready.port);
            let place = local.ready.port.place.or(local.ports.place);
            self.refuse(place, message, suggest::remedy(&local.ready.port, &local.ports));
        }
        let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
        for port in local.ports.iter() {
            if seen.insert(port, ()).is_some() {
                self.refuse(local.ports.place, format!("port `{port}` stands twice"), None);
            }
            if port.is_empty() || !port.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                let help = Some("letters, digits and `-`".to_string());
                self.refuse(local.ports.place, format!("`{port}` is no name for a port"), help);
            }
        }
    }

    fn templates(&mut self, local: &Local) {
        let command = local.command.iter().flatten();
        for template in command.chain(local.env.values()) {
            self.template(local, template, |_| true);
        }
        // What is told of a peer must be the same for whoever is told: no folder, no own listener.
        let of_a_peer = |v: &Variable| {
            matches!(
                v,
                Variable::Name | Variable::Zone | Variable::Index | Variable::Address { .. }
            )
        };
        // Where nobody is told of peers, the usual way of naming them does not matter.
        let peers = &local.peers;
        let place = match &local.command {
            _ if peers.place.is_known() => Some(peers.place),
            None => Some(local.ports.place),
            Some(command) => {
                let tells = |t: &&At<Template>| t.variables().any(|v| *v == Variable::Peers);
                command.iter().chain(local.env.values()).find(tells).map(|t| t.place)
            }
        };
        if let Some(place) = place {
            self.template(local, &At { place, value: peers.value.clone() }, of_a_peer);
        }
        if local.command.as_ref().is_some_and(Vec::is_empty) {
            let place = local.ports.place;
            self.refuse(place, "expected a program in `command`, found an empty list", None);
        }
    }

    fn template(
        &mut self,
        local: &Local,
        template: &At<Template>,
        allowed: impl Fn(&Variable) -> bool,
    ) {
        for variable in template.variables() {
            let unknown = variable.port().filter(|port| !local.ports.iter().any(|p| p == port));
            if let Some(port) = unknown {
                let message = format!("unknown port `{port}` in `{template}`");
                self.refuse(template.place, message, suggest::remedy(port, &local.ports));
            } else if !allowed(variable) {
                let help = "known here: name, zone, index, address.PORT".to_string();
                let message = format!("`{{{variable}}}` cannot stand in `peers`");
                self.refuse(template.place, message, Some(help));
            }
        }
    }

    fn keys(&mut self) {
        let workload = &self.scenario.workload;
        let (model, keys) = (workload.model, workload.keys.value);
        let fewest = model.fewest_keys();
        if keys < fewest {
            let message = format!("the model {model} needs at least {fewest} keys, found {keys}");
            self.refuse(workload.keys.place, message, None);
        }
    }

    fn asked(&mut self) {
        let workload = &self.scenario.workload;
        let (client, place) = (&workload.client, workload.keys.place);
        if let Some(why) = cannot_ask(client.name(), client.models(), workload.model) {
            self.refuse(place, why, None);
        }
    }

    fn checks(&mut self) {
        let model = self.scenario.workload.model.name();
        for check in &self.scenario.checks {
            if let Err(why) = check.fits(model) {
                self.refuse(check.place, why, None);
            }
            if let Spec::Sessions(spec) = &check.value
                && spec.guarantees.is_empty()
            {
                let message = "`sessions` asks for no guarantee".to_string();
                let help = "give some, such as `guarantees: [read-your-writes]`".to_string();
                self.refuse(check.place, message, Some(help));
            }
        }
        let followed = |check: &At<Spec>| matches!(check.value, Spec::Linearizable | Spec::Log);
        if let Some(fast) = self.scenario.fail_fast.filter(|fast| fast.value)
            && !self.scenario.checks.iter().any(followed)
        {
            let message = "`fail_fast` has no check to follow".to_string();
            let help = "ask for `linearizable` or `log` among the checks, or leave it out".into();
            self.refuse(fast.place, message, Some(help));
        }
    }

    /// The store's client knows the store's protocol only.
    fn client(&mut self) {
        let Target::Local(local) = &self.scenario.target.value else { return };
        let client = &self.scenario.workload.client;
        let name = client.name();
        let own = matches!(client, ClientSpec::Store | ClientSpec::Exec(_));
        if local.command.is_none() && !own {
            let message = format!("client `{name}` cannot talk to the embedded store");
            let help = format!(
                "give `target.local` a `command` that is {name}, or take the client `store`"
            );
            self.refuse(self.scenario.target.place, message, Some(help));
        }
    }

    fn built(&mut self) {
        let workload = &self.scenario.workload;
        if !workload.client.is_built() {
            let name = workload.client.name();
            let message = format!("this firedrill was built without the client `{name}`");
            let help = format!("build it with `--features {name}`");
            self.refuse(workload.keys.place, message, Some(help));
        }
    }

    fn store(&mut self, local: &Local) {
        if local.command.is_some() && !local.bugs.is_empty() {
            let message = "`bugs` are the embedded store's: none can be switched on in a `command`";
            self.refuse(local.bugs.place, message, None);
        }
    }
}

/// Why a client cannot ask for a model, if it cannot.
fn cannot_ask(client: &str, models: &[Model], model: Model) -> Option<String> {
    let known: Vec<&str> = models.iter().map(|m| m.name()).collect();
    (!models.contains(&model)).then(|| {
        let known = known.join(", ");
        format!("client `{client}` cannot ask for the model `{model}`; it can for {known}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_cannot_ask_for_the_model_is_refused_with_what_it_can() {
        let models = [Model::Queue, Model::Log];
        let why = cannot_ask("x", &models, Model::Bank).unwrap();
        assert_eq!(why, "client `x` cannot ask for the model `bank`; it can for queue, log");
        assert_eq!(cannot_ask("x", &models, Model::Log), None);
    }
}
