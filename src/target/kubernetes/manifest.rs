//! What a cluster is given so that it drills itself by schedule: who the drill is there, what it may do, and when it
//! runs. YAML for `kubectl apply`. Pure.

use super::rights::{Need, cluster_role, roles, scalar};
use crate::control::RUN_LABEL;

/// A drill that runs in the cluster by schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// What all its objects are called.
    pub name: String,
    /// The namespace of its nodes, where it runs too.
    pub namespace: String,
    /// When, as cron has it.
    pub schedule: String,
    /// The image that it runs, which has the binary at `/firedrill`.
    pub image: String,
    /// When a machine pulls it: Always, IfNotPresent or Never.
    pub pull_policy: String,
    /// The scenario file's text.
    pub scenario: String,
    /// What the binary is called with before `run`, if it is called for somebody who watches it.
    pub watched: Vec<String>,
    /// Further arguments of `firedrill run`.
    pub arguments: Vec<String>,
    /// The PersistentVolumeClaim on which it leaves its record. `None`: that goes with its pod.
    pub claim: Option<String>,
}

/// Somebody to be in the cluster, who may do this and nothing else.
pub fn rbac(needs: &[Need], name: &str, namespace: &str) -> String {
    let own_namespace = scalar(namespace);
    let here = format!("{{name: {name}, namespace: {own_namespace}}}");
    let subject = format!("{{kind: ServiceAccount, name: {name}, namespace: {own_namespace}}}");
    let head = "apiVersion: rbac.authorization.k8s.io/v1\n";
    let role = |kind: &str, name: &str| {
        format!("roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {name}}}\n")
    };
    let mut text = format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {here}\n---\n{}---\n{head}\
         kind: RoleBinding\nmetadata: {here}\n{}subjects: [{subject}]\n",
        roles(needs, name, namespace),
        role("Role", name)
    );
    if needs.iter().any(|need| need.of_cluster) {
        let own = cluster_role(name, namespace);
        text += &format!(
            "---\n{head}kind: ClusterRoleBinding\nmetadata: {{name: {own}}}\n{}\
             subjects: [{subject}]\n",
            role("ClusterRole", &own)
        );
    }
    text
}

/// The scenario, and what drills it. One drill at a time; one that fails is not tried again.
pub fn cron_job(drill: &Scheduled) -> String {
    let Scheduled { name, namespace, schedule, image, pull_policy, scenario, .. } = drill;
    let work = match &drill.claim {
        Some(claim) => format!("persistentVolumeClaim: {{claimName: {}}}", quoted(claim)),
        None => "emptyDir: {}".into(),
    };
    let mut command = vec!["/firedrill".to_string()];
    command.extend(drill.watched.iter().cloned());
    let run = ["run", "/scenario/scenario.yaml", "--yes", "--out", "/record"];
    command.extend(run.map(String::from));
    command.extend(drill.arguments.iter().cloned());
    let command: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: {namespace}}}
data:
  scenario.yaml: {scenario}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  schedule: {schedule}
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata: {{labels: {{{RUN_LABEL}: {name}}}}}
        spec:
          serviceAccountName: {name}
          restartPolicy: Never
          terminationGracePeriodSeconds: 60
          securityContext:
            runAsNonRoot: true
            runAsUser: 65532
            runAsGroup: 65532
            fsGroup: 65532
            seccompProfile: {{type: RuntimeDefault}}
          containers:
          - name: firedrill
            image: {image}
            imagePullPolicy: {pull_policy}
            command: [{command}]
            env: [{{name: TMPDIR, value: /record}}]
            securityContext:
              allowPrivilegeEscalation: false
              readOnlyRootFilesystem: true
              capabilities: {{drop: [ALL]}}
            volumeMounts:
            - {{name: scenario, mountPath: /scenario}}
            - {{name: work, mountPath: /record}}
          volumes:
          - {{name: scenario, configMap: {{name: {name}}}}}
          - {{name: work, {work}}}
"#,
        namespace = scalar(namespace),
        scenario = block(scenario),
        schedule = quoted(schedule),
        image = quoted(image),
        command = command.join(", "),
    )
}

/// A text as YAML takes it whatever is in it: JSON is YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text of several lines as a person reads it, where YAML would give it back as it is.
fn block(text: &str) -> String {
    let plain = |c: char| c == '\n' || !c.is_control() && c != '\u{feff}' && c != '\u{2028}';
    let ends_well = text.ends_with('\n') && !text.ends_with("\n\n") && text != "\n";
    if !ends_well || !text.chars().all(|c| plain(c) && c != '\u{2029}' && c != '\u{85}') {
        return quoted(text);
    }
    let indent = |line: &str| if line.is_empty() { String::new() } else { format!("    {line}") };
    let lines: Vec<String> = text.lines().map(indent).collect();
    format!("|2\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::kubernetes::discover::Chosen;
    use crate::target::kubernetes::rights::discovery;

    fn drill(scenario: &str) -> Scheduled {
        Scheduled {
            name: "firedrill-x".into(),
            namespace: "db".into(),
            schedule: "0 3 * * *".into(),
            image: "registry.example.com/firedrill:1".into(),
            pull_policy: "IfNotPresent".into(),
            scenario: scenario.into(),
            watched: vec![],
            arguments: vec!["--set".into(), "workload.rate=\"9\"/s".into()],
            claim: None,
        }
    }

    fn objects(text: &str) -> Vec<serde_json::Value> {
        let documents = text.split("---\n");
        documents.map(|document| serde_yaml::from_str(document).unwrap()).collect()
    }

    #[test]
    fn a_scenario_comes_back_as_it_was_whatever_is_in_it() {
        for scenario in [
            "name: x\n",
            "\n  name: x\n\n\tafter: 'a tab'\n  # {end}\n",
            "name: x",
            "name: x\r\nother: y\r\n",
            "name: x\n\n\n",
            "\n",
            "",
            "name: \u{85}x\u{2028}\n",
        ] {
            let objects = objects(&cron_job(&drill(scenario)));
            assert_eq!(objects[0]["data"]["scenario.yaml"], scenario, "{scenario:?}");
        }
    }

    #[test]
    fn a_record_stays_where_it_is_told_to() {
        let volume = |claim: Option<&str>| {
            let drill = Scheduled { claim: claim.map(String::from), ..drill("name: x\n") };
            let job = &objects(&cron_job(&drill))[1]["spec"]["jobTemplate"]["spec"];
            job["template"]["spec"]["volumes"][1].clone()
        };
        let work = |key: &str, of| serde_json::json!({"name": "work", key: of});
        let claimed = serde_json::json!({"claimName": "records"});
        assert_eq!(volume(Some("records")), work("persistentVolumeClaim", claimed));
        assert_eq!(volume(None), work("emptyDir", serde_json::json!({})));
    }

    #[test]
    fn a_schedule_runs_one_drill_at_a_time_and_once() {
        let objects = objects(&cron_job(&drill("name: x\n")));
        let spec = &objects[1]["spec"];
        assert_eq!(
            (&spec["concurrencyPolicy"], &spec["schedule"]),
            (&"Forbid".into(), &"0 3 * * *".into())
        );
        let job = &spec["jobTemplate"]["spec"];
        assert_eq!(
            (&job["backoffLimit"], &job["template"]["spec"]["restartPolicy"]),
            (&0.into(), &"Never".into())
        );
        let command = &job["template"]["spec"]["containers"][0]["command"];
        assert_eq!(command[7], "workload.rate=\"9\"/s");
        // So that it is no node of the drill's.
        assert_eq!(job["template"]["metadata"]["labels"][RUN_LABEL], "firedrill-x");
    }

    #[test]
    fn only_who_reads_machines_is_somebody_in_the_whole_cluster() {
        let kinds = |machines: bool| -> Vec<String> {
            // A namespace that YAML would take for a number.
            let namespace = "1";
            let needs = discovery(&Chosen::StatefulSet("etcd".into()), machines);
            let objects = objects(&rbac(&needs, "firedrill-x", namespace));
            assert_eq!(objects[0]["metadata"]["namespace"], namespace);
            objects.iter().map(|object| object["kind"].as_str().unwrap().to_string()).collect()
        };
        assert_eq!(kinds(false), ["ServiceAccount", "Role", "RoleBinding"]);
        let all = ["ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
        assert_eq!(kinds(true), all);
    }
}
