//! What firedrill writes on an object whose own settings it changes, so that whoever restores it, and whenever, gives
//! back what was there before and nothing else: a label that finds it, and what was changed. Pure.
//!
//! Invariant: what a patch gives back is what a mark of the same run says was added; what somebody else set stays.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::objects::{Node, Taint as Own};
use crate::condition::{Taint, TaintEffect};
use crate::control::RUN_LABEL;

/// The annotation that says what was changed.
const HELD: &str = "firedrill.held";
/// How long a label's value may be.
const LABEL_MAX: usize = 63;

/// What was changed on an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    /// The run that did it.
    pub run: String,
    /// A machine was closed that was open.
    #[serde(default, skip_serializing_if = "is_false")]
    pub closed: bool,
    /// A machine has these taints that it had not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub taints: BTreeSet<Taint>,
    /// A controller keeps another number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
}

/// How many pods a controller keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replicas {
    /// As it was.
    pub before: i32,
    /// As firedrill set it.
    pub now: i32,
}

fn is_false(closed: &bool) -> bool {
    !closed
}

/// What a machine is to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Nothing more is placed there.
    pub closed: bool,
    /// It has these taints.
    pub taints: BTreeSet<Taint>,
}

impl Asked {
    /// What a machine is that is so.
    pub fn words(&self) -> String {
        let closed = self.closed.then(|| "cordoned".to_string());
        let taints = self.taints.iter().map(|taint| format!("tainted with {taint}"));
        let all: Vec<String> = closed.into_iter().chain(taints).collect();
        if all.is_empty() { "in the cluster".into() } else { all.join(", ") }
    }
}

/// Whether firedrill changed it, and has not given it back.
pub(super) fn is_marked(node: &Node) -> bool {
    node.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(HELD))
}

impl Mark {
    fn is_empty(&self) -> bool {
        !self.closed && self.taints.is_empty() && self.replicas.is_none()
    }

    /// The run that holds an object of these annotations, if one does.
    pub fn whose(annotations: &BTreeMap<String, String>) -> Result<Option<String>, String> {
        let Some(text) = annotations.get(HELD) else { return Ok(None) };
        Ok(Some(Mark::read(text)?.run))
    }

    fn read(text: &str) -> Result<Mark, String> {
        serde_json::from_str(text).map_err(|e| format!("its annotation {HELD} cannot be read: {e}"))
    }

    /// What an object's annotations say. An error if another run holds it: what that added is its own to give back.
    pub fn of(annotations: Option<&BTreeMap<String, String>>, run: &str) -> Result<Mark, String> {
        let none = Mark { run: run.to_string(), ..Mark::default() };
        let Some(text) = annotations.and_then(|all| all.get(HELD)) else { return Ok(none) };
        let mark = Mark::read(text)?;
        match mark.run == run || mark.is_empty() {
            true => Ok(Mark { run: run.to_string(), ..mark }),
            false => {
                let other = &mark.run;
                Err(format!(
                    "run {other} changed it, and has not given it back: if that drill is over, \
                     `firedrill heal {other}` does"
                ))
            }
        }
    }

    /// The label and the annotation as they are to be, as a patch of an object's metadata.
    fn metadata(&self, resource_version: Option<&str>) -> Value {
        let (label, held) = match self.is_empty() {
            true => (Value::Null, Value::Null),
            false => {
                let held = serde_json::to_string(self).unwrap_or_default();
                (Value::from(label_value(&self.run)), Value::from(held))
            }
        };
        json!({
            // Whoever changes it meanwhile is not overwritten: the patch fails, and is made anew.
            "resourceVersion": resource_version,
            "labels": {RUN_LABEL: label},
            "annotations": {HELD: held},
        })
    }
}

/// A run's name as a label's value may be: the end of it, which tells it from others.
fn label_value(run: &str) -> &str {
    let from =
        (run.len().saturating_sub(LABEL_MAX)..run.len()).find(|at| run.is_char_boundary(*at));
    run[from.unwrap_or(0)..].trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
}

/// What makes a machine as it is asked to be; `None` if it is so.
pub(super) fn of_machine(node: &Node, run: &str, asked: &Asked) -> Result<Option<Value>, String> {
    let before = Mark::of(node.metadata.annotations.as_ref(), run)?;
    let spec = node.spec.clone().unwrap_or_default();
    let was_closed = spec.unschedulable.unwrap_or_default();
    let mut mark = before.clone();
    let closed = match (asked.closed, before.closed) {
        (true, _) => {
            mark.closed |= !was_closed;
            true
        }
        (false, true) => {
            mark.closed = false;
            false
        }
        (false, false) => was_closed,
    };
    let mut taints: Vec<Own> = spec.taints.clone().unwrap_or_default();
    let gone: Vec<&Taint> = before.taints.difference(&asked.taints).collect();
    taints.retain(|own| !gone.iter().any(|taint| is(own, taint)));
    mark.taints.retain(|taint| asked.taints.contains(taint));
    for taint in &asked.taints {
        match taints.iter().find(|own| is_of_kind(own, taint)) {
            None => {
                taints.push(own(taint));
                mark.taints.insert(taint.clone());
            }
            Some(own) if is(own, taint) => {}
            Some(own) => {
                let other = own.value.as_deref().unwrap_or_default();
                return Err(format!(
                    "it has taint {}={other}:{} already, of another value",
                    own.key, own.effect
                ));
            }
        }
    }
    let same = closed == was_closed && taints == spec.taints.unwrap_or_default();
    if same && mark == before {
        return Ok(None);
    }
    Ok(Some(json!({
        "metadata": mark.metadata(node.metadata.resource_version.as_deref()),
        "spec": {
            "unschedulable": if closed { Value::from(true) } else { Value::Null },
            "taints": if taints.is_empty() { Value::Null } else { json!(taints) },
        },
    })))
}

/// The same key and effect: a machine has one of them at most.
fn is_of_kind(own: &Own, taint: &Taint) -> bool {
    own.key == taint.key && own.effect == effect(taint)
}

fn is(own: &Own, taint: &Taint) -> bool {
    is_of_kind(own, taint) && own.value.as_deref().unwrap_or_default() == taint.value
}

fn own(taint: &Taint) -> Own {
    let value = Some(taint.value.clone()).filter(|value| !value.is_empty());
    Own { key: taint.key.clone(), value, effect: effect(taint).into(), time_added: None }
}

fn effect(taint: &Taint) -> &'static str {
    match taint.effect {
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    }
}

/// Why a machine is not as it is asked to be, if it is not.
pub(super) fn differs(node: &Node, asked: &Asked) -> Option<String> {
    let spec = node.spec.clone().unwrap_or_default();
    if asked.closed && spec.unschedulable != Some(true) {
        return Some("is not cordoned".into());
    }
    let taints = spec.taints.unwrap_or_default();
    let missing = asked.taints.iter().find(|taint| !taints.iter().any(|own| is(own, taint)))?;
    Some(format!("has no taint {missing}"))
}

/// What makes a controller keep so many pods; `None`: as many as before. `Ok(None)` if it does.
pub(super) fn of_controller(
    metadata: &ObjectMeta,
    replicas: i32,
    run: &str,
    asked: Option<i32>,
) -> Result<Option<Value>, String> {
    let before = Mark::of(metadata.annotations.as_ref(), run)?;
    let (mark, wanted) = match (asked, before.replicas) {
        (Some(asked), held) => {
            let held = Replicas { before: held.map_or(replicas, |held| held.before), now: asked };
            (Mark { replicas: Some(held), ..before.clone() }, asked)
        }
        // Who set another number meanwhile meant it.
        (None, Some(held)) => {
            let wanted = if replicas == held.now { held.before } else { replicas };
            (Mark { replicas: None, ..before.clone() }, wanted)
        }
        (None, None) => return Ok(None),
    };
    if mark == before && wanted == replicas {
        return Ok(None);
    }
    Ok(Some(json!({
        "metadata": mark.metadata(metadata.resource_version.as_deref()),
        "spec": {"replicas": wanted},
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "drill-20261126-120000-abcd";

    /// What an API server does with a patch, as far as it matters here.
    fn patched(mut node: Value, patch: &Value) -> Node {
        fn merge(into: &mut Value, patch: &Value) {
            let Value::Object(patch) = patch else { return *into = patch.clone() };
            if !into.is_object() {
                *into = json!({});
            }
            for (key, value) in patch {
                match value {
                    Value::Null => drop(into.as_object_mut().unwrap().remove(key)),
                    value => merge(&mut into[key], value),
                }
            }
        }
        merge(&mut node, patch);
        serde_json::from_value(node).unwrap()
    }

    fn node(spec: Value) -> Node {
        let metadata = json!({"name": "n1", "resourceVersion": "7", "labels": {"a": "b"}});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn asked(closed: bool, taints: &[&str]) -> Asked {
        let taint = |value: &&str| Taint {
            key: "k".into(),
            value: value.to_string(),
            effect: TaintEffect::NoSchedule,
        };
        Asked { closed, taints: taints.iter().map(taint).collect() }
    }

    fn after(node: &Node, run: &str, asked: &Asked) -> Node {
        match of_machine(node, run, asked).unwrap() {
            Some(patch) => patched(serde_json::to_value(node).unwrap(), &patch),
            None => node.clone(),
        }
    }

    #[test]
    fn a_machine_is_given_back_as_it_was() {
        let others = json!([{"key": "theirs", "effect": "NoExecute"}]);
        for spec in [json!({}), json!({"taints": others}), json!({"unschedulable": true})] {
            let own = node(spec);
            let held = after(&own, RUN, &asked(true, &["v"]));
            assert_eq!(differs(&held, &asked(true, &["v"])), None);
            assert_eq!(held.metadata.labels.as_ref().unwrap()[RUN_LABEL], RUN);
            assert_eq!(of_machine(&held, RUN, &asked(true, &["v"])).unwrap(), None, "idempotent");
            // One of two is given back, then the other.
            let less = after(&held, RUN, &asked(true, &[]));
            assert_eq!(differs(&less, &asked(true, &[])), None);
            assert!(differs(&less, &asked(true, &["v"])).unwrap().contains("k=v:NoSchedule"));
            for held in [less, held] {
                let back = after(&held, RUN, &Asked::default());
                let same = Node { metadata: own.metadata.clone(), ..back.clone() };
                assert_eq!(same, own);
                assert_eq!(back.metadata.labels, own.metadata.labels);
                assert_eq!(back.metadata.annotations.unwrap_or_default(), BTreeMap::new());
            }
        }
    }

    #[test]
    fn what_others_did_meanwhile_stays() {
        let held = after(&node(json!({})), RUN, &asked(true, &["v"]));
        let mut more = held.clone();
        let spec = more.spec.as_mut().unwrap();
        spec.taints.as_mut().unwrap().push(Own {
            key: "theirs".into(),
            effect: "NoSchedule".into(),
            ..Own::default()
        });
        let back = after(&more, RUN, &Asked::default());
        let taints = back.spec.unwrap().taints.unwrap();
        assert_eq!(taints.iter().map(|t| t.key.as_str()).collect::<Vec<_>>(), ["theirs"]);
    }

    #[test]
    fn another_runs_machine_is_left_alone() {
        let held = after(&node(json!({})), "other-run", &asked(true, &[]));
        let why = of_machine(&held, RUN, &asked(true, &[])).unwrap_err();
        assert!(why.contains("firedrill heal other-run"), "{why}");
        let own = node(json!({"taints": [{"key": "k", "value": "w", "effect": "NoSchedule"}]}));
        let why = of_machine(&own, RUN, &asked(false, &["v"])).unwrap_err();
        assert!(why.contains("k=w:NoSchedule"), "{why}");
    }

    #[test]
    fn a_controller_keeps_as_many_as_before_unless_somebody_else_said_otherwise() {
        let mut set = node(json!({"replicas": 3}));
        let metadata = set.metadata.clone();
        let patch = of_controller(&metadata, 3, RUN, Some(1)).unwrap().unwrap();
        assert_eq!(patch["spec"]["replicas"], 1);
        set = patched(serde_json::to_value(&set).unwrap(), &patch);
        assert_eq!(of_controller(&set.metadata, 1, RUN, Some(1)).unwrap(), None, "idempotent");
        let lower = of_controller(&set.metadata, 1, RUN, Some(0)).unwrap().unwrap();
        let held: Mark =
            serde_json::from_str(lower["metadata"]["annotations"][HELD].as_str().unwrap()).unwrap();
        assert_eq!(held.replicas, Some(Replicas { before: 3, now: 0 }));
        for (now, back) in [(1, 3), (5, 5)] {
            let patch = of_controller(&set.metadata, now, RUN, None).unwrap().unwrap();
            assert_eq!(patch["spec"]["replicas"], back);
            assert_eq!(patch["metadata"]["annotations"][HELD], Value::Null);
        }
        assert_eq!(of_controller(&metadata, 3, RUN, None).unwrap(), None);
    }

    #[test]
    fn a_label_takes_the_end_of_a_long_name() {
        let long = format!("{}-20261126-120000-abcd", "x".repeat(80));
        let value = label_value(&long);
        assert!(value.len() <= LABEL_MAX && value.ends_with("-abcd"), "{value}");
        assert_eq!(label_value(RUN), RUN);
    }
}
