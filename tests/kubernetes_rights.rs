//! What a drill of pods may do in the cluster: the roles that firedrill prints are enough, each right of them is missed
//! before anything is touched, and a cluster that would not admit an agent says so while planning.

mod lab;
mod runner;

use std::path::Path;
use std::process::Command;

use lab::{Members, cluster, so};
use runner::eventually;
use serde_json::{Value, json};

const FAULTS: &str = "  - {at: 1s, for: 2s, inject: {partition: {isolate: etcd-1}}}\n  - {at: 5s, for: 2s, inject: {kill: \
                      {nodes: etcd-0}}}\n";
/// Who the drill is in the cluster.
const NAME: &str = "firedrill-pods";

/// A scenario of a StatefulSet, whose every fault needs its own rights.
fn prepared(members: &Members) {
    members.scenario(FAULTS);
    let text = members.home.read("s.yaml").replace("selector: app=etcd", "statefulset: etcd");
    members.home.write("s.yaml", &text);
}

/// Puts what firedrill prints into the cluster.
fn apply(members: &Members, arguments: &str) -> String {
    let out = members.as_admin(arguments).output().unwrap();
    assert!(out.status.success(), "{arguments}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let file = members.home.write("printed.yaml", &text);
    members.cluster.kubectl(&format!("apply -f {}", file.display()));
    text
}

fn command(members: &Members, kubeconfig: &Path, arguments: &str) -> Command {
    let mut command = members.as_admin(arguments);
    command.env("KUBECONFIG", kubeconfig);
    command
}

/// The agents that ever were in any pod.
fn agents(members: &Members) -> String {
    members.kubectl("get pods -l app=etcd -o jsonpath={.items[*].spec.ephemeralContainers[*].name}")
}

/// A role with one verb of one of its rules less: the verb, what it was for, and the role.
fn with_one_less(role: &Value) -> Vec<(String, String, Value)> {
    let mut all = vec![];
    for (at, rule) in role["rules"].as_array().unwrap().iter().enumerate() {
        for (which, verb) in rule["verbs"].as_array().unwrap().iter().enumerate() {
            let mut less = role.clone();
            less["metadata"].as_object_mut().unwrap().remove("resourceVersion");
            less["rules"][at]["verbs"].as_array_mut().unwrap().remove(which);
            if less["rules"][at]["verbs"] == json!([]) {
                less["rules"].as_array_mut().unwrap().remove(at);
            }
            let resource = rule["resources"][0].as_str().unwrap();
            all.push((verb.as_str().unwrap().to_string(), resource.to_string(), less));
        }
    }
    all
}

#[test]
fn the_printed_roles_are_enough_and_each_right_of_them_is_missed_before_anything_is_touched() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    prepared(&members);
    apply(&members, "manifests rbac s.yaml");
    let kubeconfig = members.write_kubeconfig(NAME);
    let as_drill = |arguments: &str| command(&members, &kubeconfig, arguments);
    let without = ["delete pods", "done without, for it is not allowed: list events"];
    eventually("the roles are in force", || {
        let out = as_drill("plan s.yaml").output().unwrap();
        so(out.status.success(), || String::from_utf8_lossy(&out.stderr).to_string())
    });
    members.home.start_command(as_drill("plan s.yaml")).end().expect(0, &without);
    members.home.at_work_by(|| as_drill("run s.yaml")).expect(0, &["fault 1 partition: healed"]);
    let (before, mut missed) = (agents(&members), vec![]);
    let of_cluster = format!("clusterrole {NAME}-of-{}", members.namespace);
    for role in [format!("role {NAME}"), of_cluster] {
        let whole = members.kubectl(&format!("get {role} -o json"));
        for (verb, resource, less) in with_one_less(&serde_json::from_str(&whole).unwrap()) {
            let less = members.home.write("less.json", &less.to_string());
            members.kubectl(&format!("replace -f {}", less.display()));
            eventually(&format!("{verb} {resource} is missed"), || {
                let out = as_drill("plan s.yaml").output().unwrap();
                so(out.status.code() == Some(2), || format!("{out:?}"))
            });
            let place = match role.starts_with("cluster") {
                true => "ClusterRole",
                false => members.namespace.as_str(),
            };
            let said = ["s.yaml:", &verb, &resource, place, "kind: Role", "verbs: ["];
            members.home.start_command(as_drill("run s.yaml")).end().expect(2, &said);
            missed.push(format!("{verb} {resource}"));
        }
        let whole = members.home.write("whole.json", &whole);
        members.kubectl(&format!("replace --force -f {}", whole.display()));
    }
    missed.sort();
    let all = [
        "delete pods",
        "get pods/attach",
        "get statefulsets",
        "list nodes",
        "list pods",
        "patch pods/ephemeralcontainers",
        "watch pods",
    ];
    assert_eq!(missed, all);
    assert_eq!(agents(&members), before, "nothing was touched");
}

#[test]
fn what_is_not_allowed_is_told_with_the_fault_that_needs_it() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    prepared(&members);
    apply(&members, "manifests rbac s.yaml");
    let kubeconfig = members.write_kubeconfig(NAME);
    // Who may drill with less may not with more.
    let text = members.home.read("s.yaml").replace("kill:", "crash:");
    members.home.write(
        "crash.yaml",
        &text.replace("partition: {isolate: etcd-1}", "kill: {nodes: etcd-1}"),
    );
    members.home.write(
        "less.yaml",
        &text.replace("crash: {nodes: etcd-0}", "partition: {isolate: etcd-0}"),
    );
    apply(&members, "manifests rbac less.yaml");
    let said = [
        "crash.yaml:3:",
        &format!(
            "delete pods etcd-0 to etcd-2 in namespace {}: for kill (line 9)",
            members.namespace
        ),
        "kind: Role",
    ];
    eventually("the smaller role is in force", || {
        let out = command(&members, &kubeconfig, "plan crash.yaml").output().unwrap();
        so(out.status.code() == Some(2), || format!("{out:?}"))
    });
    members
        .home
        .start_command(command(&members, &kubeconfig, "plan crash.yaml"))
        .end()
        .expect(2, &said);
    members
        .home
        .start_command(command(&members, &kubeconfig, "plan less.yaml"))
        .end()
        .expect(0, &[]);
}

#[test]
fn a_namespace_that_withholds_capabilities_is_found_out_while_planning() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    prepared(&members);
    let label = |level: &str| {
        let label = format!("pod-security.kubernetes.io/enforce={level} --overwrite");
        cluster.kubectl(&format!("label namespace {} {label}", members.namespace));
    };
    let before = agents(&members);
    label("baseline");
    let said = ["s.yaml:3:", "PodSecurity \"baseline", "NET_ADMIN", "enforce=privileged"];
    for arguments in ["plan s.yaml", "run s.yaml"] {
        members.home.start_command(members.command(arguments)).end().expect(2, &said);
    }
    // A drill without agents does not mind.
    let text = members
        .home
        .read("s.yaml")
        .replace("partition: {isolate: etcd-1}", "stop: {nodes: etcd-1}");
    members.home.write("stop.yaml", &text);
    members.home.start_command(members.command("plan stop.yaml")).end().expect(0, &["stop etcd-1"]);
    label("privileged");
    members.home.start_command(members.command("plan s.yaml")).end().expect(0, &["isolate etcd-1"]);
    assert_eq!(agents(&members), before);
}

/// A claim, and what answers it: a folder on one of the machines, where everybody may write.
fn claimed(members: &Members, claim: &str) -> (&'static str, String) {
    let (machine, namespace) = ("n1", &members.namespace);
    let folder = format!("/var/lib/firedrill-records/{namespace}");
    members.inside(machine, &format!("mkdir --parents --mode 777 {folder}"));
    let size = "accessModes: [ReadWriteOnce], storageClassName: ''";
    let there = format!("{{key: kubernetes.io/hostname, operator: In, values: [{machine}]}}");
    let text = format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {namespace}}}\nspec: {{{size}, capacity: \
         {{storage: 64Mi}}, hostPath: {{path: {folder}}}, claimRef: {{namespace: {namespace}, name: {claim}}}, \
         nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{there}]}}]}}}}}}\n---\n\
         apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {claim}, namespace: {namespace}}}\n\
         spec: {{{size}, volumeName: {namespace}, resources: {{requests: {{storage: 64Mi}}}}}}\n"
    );
    let file = members.home.write("claim.yaml", &text);
    members.kubectl(&format!("apply -f {}", file.display()));
    (machine, folder)
}

#[test]
fn what_is_printed_as_a_scheduled_job_drills_from_within_the_cluster() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    prepared(&members);
    apply(&members, "manifests rbac s.yaml");
    let mut job = format!("manifests cronjob s.yaml --image {} --seed 7", cluster.image);
    let folder = cluster.is_lab().then(|| claimed(&members, "records"));
    if folder.is_some() {
        job += " --claim records";
    }
    let printed = apply(&members, &job);
    assert!(printed.contains("\"--seed\", \"7\""), "{printed}");
    members.kubectl(&format!("create job now --from cronjob/{NAME}"));
    let ended = "get job now -o jsonpath={.status.conditions[*].type}";
    // It takes the drill's time, and the starting of a container.
    let over = || {
        let ended = members.kubectl(ended);
        so(ended.contains("Complete") || ended.contains("Failed"), || members.kubectl("get pods"))
    };
    let began = std::time::Instant::now();
    while over().is_err() && began.elapsed() < 3 * runner::PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    let log = members.kubectl("logs job/now");
    assert!(members.kubectl(ended).contains("Complete"), "{log}");
    assert!(log.contains("PASS  pods") && log.contains("--seed 7"), "{log}");
    if let Some((machine, folder)) = folder {
        let kept = members.inside(machine, &format!("find {folder} -name 'history.jsonl*'"));
        assert_eq!(kept.lines().count(), 1, "{kept}");
    }
    members.assert_no_agents();
    // What names a file of this machine cannot run there.
    let text =
        members.home.read("s.yaml").replace("statefulset: etcd", "statefulset: etcd, context: lab");
    members.home.write("s.yaml", &text);
    let out = members.command(&job).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).to_string();
    assert!(out.status.code() == Some(2) && said.contains("context"), "{said}");
}
