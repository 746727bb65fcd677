//! What a drill must be allowed to do in the cluster, and the smallest roles that allow it. Pure.
//!
//! Invariant: who has these rights and no others can run the drill; who lacks a single one that is not optional cannot.
//! Deliberately absent: asking the cluster who may do what.

use std::collections::BTreeSet;

use super::controller::named;
use super::discover::Chosen;
use super::{deletes, needs_agent};
use crate::condition::{Condition, Life};

/// A role names its pods one by one up to so many.
const NAMED_MAX: usize = 50;
/// So many faults are named of those that need a right.
const FAULTS_SHOWN: usize = 3;
/// From this release on (1.N) whoever opens a stream into a pod must be allowed to `create` it, and not only to `get`.
const STREAMS_ARE_CREATED: u32 = 35;

/// Something that must be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What is done: `get`, `list`, `watch`, `create`, `patch`, `delete`.
    pub verb: &'static str,
    /// The API group; empty is the core's.
    pub group: &'static str,
    /// The kind of thing that it is done to, ...
    pub resource: &'static str,
    /// ... and the part of it; empty is the whole.
    pub part: &'static str,
    /// The things that it is done to, by their names; empty: any.
    pub names: Vec<String>,
    /// Whether it is a thing of the cluster's, in no namespace.
    pub of_cluster: bool,
    /// What it is needed for.
    pub why: String,
    /// Whether the drill can do without it.
    pub optional: bool,
}

impl Need {
    pub(super) fn new(
        verb: &'static str,
        group: &'static str,
        what: &'static str,
        why: &str,
    ) -> Need {
        let (resource, part) = what.split_once('/').unwrap_or((what, ""));
        Need {
            verb,
            group,
            resource,
            part,
            names: vec![],
            of_cluster: false,
            why: why.to_string(),
            optional: false,
        }
    }

    fn named(mut self, names: &[String]) -> Need {
        self.names = names.to_vec();
        self
    }

    /// In words, with what it is needed for.
    pub(super) fn told(&self, namespace: &str) -> String {
        let of_pods = match &self.names[..] {
            [] => String::new(),
            [name] => format!(" {name}"),
            [first, .., last] => format!(" {first} to {last}"),
        };
        let place = match self.of_cluster {
            true => "in the cluster".to_string(),
            false => format!("in namespace {namespace}"),
        };
        format!("{}{of_pods} {place}: {}", self.done(), self.why)
    }

    /// What is done to what kind of thing.
    pub(super) fn done(&self) -> String {
        let group = if self.group.is_empty() { "" } else { "." };
        format!("{} {}{group}{}", self.verb, self.what(), self.group)
    }

    /// The thing and its part, as a role has it.
    fn what(&self) -> String {
        match self.part {
            "" => self.resource.to_string(),
            part => format!("{}/{part}", self.resource),
        }
    }
}

/// What is known of a drill before anybody is asked.
#[derive(Debug, Clone)]
pub(super) struct Known<'a> {
    /// How its pods are told from others.
    pub chosen: &'a Chosen,
    /// Their names, where those who take their places have the same.
    pub names: Option<Vec<String>>,
    /// Whether zones are known of machines only.
    pub machines: bool,
    /// Whether clients reach them over the API server.
    pub forwarded: bool,
    /// The cluster's release: 1.N.
    pub release: u32,
    /// Each fault, in words, and what it may come to.
    pub faults: &'a [(String, Condition)],
}

/// What finding the nodes takes.
pub(super) fn discovery(chosen: &Chosen, machines: bool) -> Vec<Need> {
    let find = "to find the nodes";
    let mut needs = vec![
        Need::new("list", "", "pods", find),
        Need::new("watch", "", "pods", "to follow the nodes' pods"),
    ];
    match chosen {
        Chosen::StatefulSet(name) => {
            let own = [name.clone()];
            needs.push(Need::new("get", "apps", "statefulsets", find).named(&own));
        }
        Chosen::Deployment(name) => {
            let own = [name.clone()];
            needs.push(Need::new("get", "apps", "deployments", find).named(&own));
        }
        Chosen::Selector(_) | Chosen::Names(_) => {}
    }
    if machines {
        let zones = Need::new("list", "", "nodes", "to learn the zones of machines");
        needs.push(Need { of_cluster: true, ..zones });
    }
    needs
}

/// All that a drill takes.
pub(super) fn needs(known: &Known) -> Vec<Need> {
    let mut needs = discovery(known.chosen, known.machines);
    let names = known.names.as_deref().filter(|names| names.len() <= NAMED_MAX).unwrap_or(&[]);
    let because = |so: &dyn Fn(&Condition) -> bool| {
        let faults = known.faults.iter().filter(|(_, condition)| so(condition));
        let faults: BTreeSet<&str> = faults.map(|(fault, _)| fault.as_str()).collect();
        let shown: Vec<&str> = faults.iter().copied().take(FAULTS_SHOWN).collect();
        let more = if faults.len() > shown.len() { " and others" } else { "" };
        (!faults.is_empty()).then(|| format!("for {}{more}", shown.join(", ")))
    };
    if let Some(why) = because(&needs_agent) {
        let mut add = |verb, what| needs.push(Need::new(verb, "", what, &why).named(names));
        add("patch", "pods/ephemeralcontainers");
        add("get", "pods/attach");
        if known.release >= STREAMS_ARE_CREATED {
            add("create", "pods/attach");
        }
    }
    if known.forwarded {
        let why = "for clients, who reach the pods by port-forward";
        let verbs: &[&str] =
            if known.release >= STREAMS_ARE_CREATED { &["get", "create"] } else { &["get"] };
        needs.extend(
            verbs.iter().map(|verb| Need::new(verb, "", "pods/portforward", why).named(names)),
        );
    }
    if let Some(why) = because(&deletes) {
        needs.push(Need::new("delete", "", "pods", &why).named(names));
    }
    if let Some(why) = because(&|condition| condition.life == Life::Evicted) {
        needs.push(Need::new("create", "", "pods/eviction", &why).named(names));
    }
    if let Some(why) = because(&|condition| !condition.machine.is_healthy()) {
        for verb in ["get", "patch"] {
            let need = Need::new(verb, "", "nodes", &why);
            needs.push(Need { of_cluster: true, ..need });
        }
    }
    if let (Some(why), Some((kind, name))) =
        (because(&|condition| !condition.controller.is_healthy()), named(known.chosen))
    {
        needs.push(Need::new("patch", "apps", kind.plural(), &why).named(&[name]));
    }
    let mut optional = |verb, what, names: &[String], why| {
        let need = Need::new(verb, "", what, why).named(names);
        needs.push(Need { optional: true, ..need });
    };
    if known.faults.iter().any(|(_, condition)| needs_agent(condition)) {
        let early = "to say at once why an agent's image cannot be had";
        optional("list", "events", &[], early);
        optional("watch", "events", &[], early);
    }
    for verb in ["list", "watch"] {
        let what = "endpointslices";
        let need = Need::new(verb, "discovery.k8s.io", what, "to say when endpoints go and come");
        needs.push(Need { optional: true, ..need });
    }
    if known.machines {
        let need = Need::new("watch", "", "nodes", "to say when machines are lost for the cluster");
        needs.push(Need { optional: true, of_cluster: true, ..need });
    }
    let mut optional = |verb, what, names: &[String], why| {
        let need = Need::new(verb, "", what, why).named(names);
        needs.push(Need { optional: true, ..need });
    };
    optional("create", "events", &[], "to tell on the pods that they are drilled");
    optional("get", "pods/log", names, "to keep the nodes' logs");
    needs
}

/// The roles that allow this and nothing else, as YAML: one of the namespace, and one of the cluster where something of
/// its is needed. What is optional stands there as comments.
pub(super) fn roles(needs: &[Need], name: &str, namespace: &str) -> String {
    let of = |cluster: bool| needs.iter().filter(move |need| need.of_cluster == cluster);
    let head = "apiVersion: rbac.authorization.k8s.io/v1\n";
    let mut text = format!(
        "{head}kind: Role\nmetadata: {{name: {name}, namespace: {}}}\nrules:\n{}",
        scalar(namespace),
        rules(of(false))
    );
    if of(true).next().is_some() {
        text += &format!(
            "---\n{head}kind: ClusterRole\nmetadata: {{name: {}}}\nrules:\n{}",
            cluster_role(name, namespace),
            rules(of(true))
        );
    }
    text
}

/// What a role of the cluster is called: there is one namespace of many.
pub(super) fn cluster_role(name: &str, namespace: &str) -> String {
    format!("{name}-of-{namespace}")
}

/// A name as YAML takes it for a text: there are clusters with a namespace `1`, and `true`.
pub(super) fn scalar(text: &str) -> String {
    let means_else = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text);
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(fine);
    match plain && !means_else {
        true => text.to_string(),
        false => serde_json::Value::from(text).to_string(),
    }
}

fn rules<'a>(needs: impl Iterator<Item = &'a Need>) -> String {
    let mut grouped: Vec<Vec<&Need>> = vec![];
    for need in needs {
        let like = |rule: &&mut Vec<&Need>| {
            rule.first().is_some_and(|first| {
                (first.group, first.what(), &first.names, first.optional)
                    == (need.group, need.what(), &need.names, need.optional)
            })
        };
        match grouped.iter_mut().find(like) {
            Some(rule) => rule.push(need),
            None => grouped.push(vec![need]),
        }
    }
    grouped.iter().map(|rule| self::rule(rule)).collect()
}

fn rule(needs: &[&Need]) -> String {
    let Some(first) = needs.first() else { return String::new() };
    let verbs: Vec<&str> = needs.iter().map(|need| need.verb).collect();
    let mut reasons: Vec<&str> = needs.iter().map(|need| need.why.as_str()).collect();
    reasons.dedup();
    let names = match first.names.is_empty() {
        true => String::new(),
        false => {
            let names: Vec<String> = first.names.iter().map(|name| scalar(name)).collect();
            format!(", resourceNames: [{}]", names.join(", "))
        }
    };
    let (optional, or_not) = if first.optional { ("# ", "optional, ") } else { ("", "") };
    format!(
        "# {or_not}{}\n{optional}- {{apiGroups: [{}], resources: [{}]{names}, verbs: [{}]}}\n",
        reasons.join("; "),
        scalar(first.group),
        first.what(),
        verbs.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{Closed, Controller, Machine};

    fn life(life: Life) -> Condition {
        Condition { life, ..Condition::default() }
    }

    fn told(known: &Known) -> Vec<String> {
        let needs = needs(known);
        needs.iter().filter(|need| !need.optional).map(|need| need.told("db")).collect()
    }

    fn known<'a>(chosen: &'a Chosen, faults: &'a [(String, Condition)]) -> Known<'a> {
        Known { chosen, names: None, machines: false, forwarded: false, release: 34, faults }
    }

    #[test]
    fn each_fault_needs_what_it_does_and_no_more() {
        let chosen = Chosen::Selector("app=etcd".into());
        let found = [
            "list pods in namespace db: to find the nodes",
            "watch pods in namespace db: to follow the nodes' pods",
        ];
        assert_eq!(told(&known(&chosen, &[])), found);
        let deletes = [("kill (line 7)".to_string(), life(Life::Killed))];
        assert_eq!(
            told(&known(&chosen, &deletes))[2..],
            ["delete pods in namespace db: for kill (line 7)"]
        );
        for life in [life(Life::Crashed), life(Life::Paused)] {
            let joins = [("pause (line 9)".to_string(), life)];
            let agent = [
                "patch pods/ephemeralcontainers in namespace db: for pause (line 9)",
                "get pods/attach in namespace db: for pause (line 9)",
            ];
            assert_eq!(told(&known(&chosen, &joins))[2..], agent);
        }
    }

    #[test]
    fn machines_and_controllers_need_rights_of_their_own() {
        let chosen = Chosen::StatefulSet("etcd".into());
        let machine = Machine { closed: Closed::Machine, ..Machine::default() };
        let drain = Condition { machine, ..life(Life::Evicted) };
        let controller = Controller { replicas: Some(1), ..Controller::default() };
        let scale = Condition { controller, ..Condition::default() };
        let faults = [("drain (line 7)".to_string(), drain), ("scale (line 8)".to_string(), scale)];
        let told = told(&known(&chosen, &faults));
        assert_eq!(
            told[3..],
            [
                "create pods/eviction in namespace db: for drain (line 7)",
                "get nodes in the cluster: for drain (line 7)",
                "patch nodes in the cluster: for drain (line 7)",
                "patch statefulsets.apps etcd in namespace db: for scale (line 8)",
            ]
        );
    }

    #[test]
    fn newer_clusters_want_streams_created_and_zones_may_be_the_clusters() {
        let chosen = Chosen::StatefulSet("etcd".into());
        let faults = [("pause (line 9)".to_string(), life(Life::Paused))];
        let of = Known { release: 35, machines: true, ..known(&chosen, &faults) };
        let told = told(&of);
        for need in [
            "get statefulsets.apps etcd in namespace db: to find the nodes",
            "list nodes in the cluster: to learn the zones of machines",
            "create pods/attach in namespace db: for pause (line 9)",
        ] {
            assert!(told.iter().any(|told| told == need), "{told:#?}");
        }
    }

    #[test]
    fn faults_that_need_the_same_are_named_together() {
        let chosen = Chosen::Names(vec!["a".into()]);
        let faults: Vec<_> =
            (1..=5).map(|line| (format!("kill (line {line})"), life(Life::Killed))).collect();
        let last = told(&known(&chosen, &faults)).pop().unwrap();
        assert_eq!(
            last,
            "delete pods in namespace db: for kill (line 1), kill (line 2), kill (line 3) and others"
        );
    }

    #[test]
    fn the_roles_have_each_right_once_and_name_the_pods() {
        let chosen = Chosen::StatefulSet("etcd".into());
        let faults = [
            ("crash (line 8)".to_string(), life(Life::Crashed)),
            ("stop (line 9)".to_string(), life(Life::Stopped)),
        ];
        let names = ["etcd-0", "etcd-1"].map(String::from).to_vec();
        let of = Known { names: Some(names), machines: true, ..known(&chosen, &faults) };
        insta::assert_snapshot!(roles(&needs(&of), "firedrill-x", "db"), @r#"
        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: firedrill-x, namespace: db}
        rules:
        # to find the nodes; to follow the nodes' pods
        - {apiGroups: [""], resources: [pods], verbs: [list, watch]}
        # to find the nodes
        - {apiGroups: [apps], resources: [statefulsets], resourceNames: [etcd], verbs: [get]}
        # for crash (line 8)
        - {apiGroups: [""], resources: [pods/ephemeralcontainers], resourceNames: [etcd-0, etcd-1], verbs: [patch]}
        # for crash (line 8)
        - {apiGroups: [""], resources: [pods/attach], resourceNames: [etcd-0, etcd-1], verbs: [get]}
        # for stop (line 9)
        - {apiGroups: [""], resources: [pods], resourceNames: [etcd-0, etcd-1], verbs: [delete]}
        # optional, to say at once why an agent's image cannot be had; to tell on the pods that they are drilled
        # - {apiGroups: [""], resources: [events], verbs: [list, watch, create]}
        # optional, to say when endpoints go and come
        # - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
        # optional, to keep the nodes' logs
        # - {apiGroups: [""], resources: [pods/log], resourceNames: [etcd-0, etcd-1], verbs: [get]}
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: firedrill-x-of-db}
        rules:
        # to learn the zones of machines
        - {apiGroups: [""], resources: [nodes], verbs: [list]}
        # optional, to say when machines are lost for the cluster
        # - {apiGroups: [""], resources: [nodes], verbs: [watch]}
        "#);
        let many = (0..=NAMED_MAX).map(|n| format!("etcd-{n}")).collect();
        let of = Known { names: Some(many), machines: false, ..of };
        let text = roles(&needs(&of), "firedrill-x", "db");
        assert!(!text.contains("etcd-0") && !text.contains("ClusterRole"), "{text}");
    }

    #[test]
    fn a_name_is_a_text_whatever_it_looks_like() {
        assert_eq!(scalar("etcd-0.x"), "etcd-0.x");
        for odd in ["1", "true", "1e3", "", "a: b", "~", "-"] {
            let read: serde_json::Value =
                serde_yaml::from_str(&format!("[{}]", scalar(odd))).unwrap();
            assert_eq!(read, serde_json::json!([odd]), "{odd}");
        }
    }
}
