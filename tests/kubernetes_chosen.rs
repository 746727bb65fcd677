//! Which pods are the nodes, in a real cluster: a Deployment's pods keep their places, whoever takes them.

mod lab;
mod runner;

use std::collections::BTreeMap;

use lab::{Members, cluster, so};
use runner::{PATIENCE, eventually};

/// Three stores that know nothing of each other, one in each zone.
const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}, matchLabelKeys: [pod-template-hash]}
      containers:
      - name: store
        image: lab.local/etcd:3.6
        imagePullPolicy: IfNotPresent
        args: ["--data-dir=/data", "--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://0.0.0.0:2379"]
        readinessProbe: {httpGet: {path: "/health?serializable=true", port: 2379}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
"#;

fn prepared(members: &Members, fault: &str) {
    let manifest = members.home.write("web.yaml", WEB);
    members.kubectl(&format!("apply -f {}", manifest.display()));
    members.kubectl("rollout status deployment web --timeout 60s");
    members.scenario(fault);
    let text = members.home.read("s.yaml").replace("selector: app=etcd", "deployment: web");
    let (text, _) = text.split_once("checks:").unwrap();
    // They agree about nothing: what counts is who is struck.
    members.home.write("s.yaml", &format!("{text}checks: [{{availability: {{at_least: 1%}}}}]\n"));
}

/// The pods that live and stay, and the machine of each.
fn pods(members: &Members) -> BTreeMap<String, String> {
    let what = "{range.items[*]}{.metadata.name}/{.spec.nodeName}/{.metadata.deletionTimestamp}{'\\n'}{end}";
    let said = members.kubectl(&format!("get pods -l app=web -o jsonpath={what}"));
    let lines = said.lines().filter_map(|line| line.strip_suffix('/')?.split_once('/'));
    lines.map(|(pod, machine)| (pod.to_string(), machine.to_string())).collect()
}

#[test]
fn a_deployments_pod_that_is_killed_is_followed_by_whoever_takes_its_place() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    prepared(&members, "  - {at: 1s, for: 3s, inject: {kill: {nodes: web-2}}}\n");
    let before = pods(&members);
    let (killed, machine) = before.iter().nth(1).unwrap();
    let out = members.home.at_work_by(|| members.command("run s.yaml -v"));
    let out = out.expect(0, &[&format!("pod {killed}"), "fault 1 kill: healed", "no node died"]);
    let after = pods(&members);
    let others = |pod: &&String| *pod != killed;
    assert!(before.keys().filter(others).all(|pod| after.contains_key(pod)), "{after:?}");
    let (heir, own) = after.iter().find(|(pod, _)| !before.contains_key(*pod)).unwrap();
    assert_eq!(own, machine, "in the same zone");
    let report = out.out.clone() + &out.err;
    assert!(report.contains(&format!("pod {heir}")), "{report}");
    // By its own name it is one of a kind, and nobody takes its place.
    let named = |pod: &str| {
        let text =
            members.home.read("s.yaml").replace("deployment: web", &format!("pods: [{pod}]"));
        members.home.write("named.yaml", &text);
        members.home.start_command(members.command("plan named.yaml")).end()
    };
    named(heir).expect(2, &["web-2"]);
    named(killed).expect(2, &["no pod of", killed]);
}

#[test]
fn a_zone_that_is_cut_stays_cut_while_a_deployment_is_rolled_out_anew() {
    let Some(cluster) = cluster() else { return };
    let members = cluster.members();
    prepared(&members, "  - {at: 1s, for: 25s, inject: {partition: {isolate: web-2}}}\n");
    let before = pods(&members);
    let machine = before.values().nth(1).unwrap();
    let mut drill = members.home.start_command(members.command("run s.yaml -v"));
    drill.wait_for("fault 1: injected");
    // Each new pod is there before the one goes whose place it takes.
    members.kubectl("rollout restart deployment web");
    members.kubectl(&format!("rollout status deployment web --timeout {}s", PATIENCE.as_secs()));
    eventually(
        "every pod is another one, and those who take the places are cut as the places were",
        || {
            let now = pods(&members);
            let cut = |pod: &String| members.network(pod).contains("drop");
            let new = now.len() == 3 && now.keys().all(|pod| !before.contains_key(pod));
            so(new && now.keys().all(cut), || format!("{now:?}"))
        },
    );
    let heir = pods(&members).into_iter().find(|(_, own)| own == machine).unwrap().0;
    // Nodes that somebody else took away make the drill inconclusive.
    let out = drill.end().expect(3, &["not by firedrill", "fault 1 partition: healed"]);
    let report = out.out.clone() + &out.err;
    assert!(report.contains("web-2") && report.contains(&heir), "{report}");
    assert!(pods(&members).keys().all(|pod| !members.network(pod).contains("drop")));
}
