//! A real Kubernetes cluster to test with: the one that `FIREDRILL_TEST_KUBECONFIG` names, else the lab of
//! `tests/lab/kubernetes`, which is built and brought up where root and Go are there. Elsewhere tests say so; in CI
//! that is an error.
#![allow(dead_code)] // each test file uses its part of it

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::runner::{Home, eventually};

/// The manifest of the nodes, which the shipped scenarios drill too.
const ETCD: &str = include_str!("../../scenarios/kubernetes/manifests/etcd.yaml");

/// A cluster that answers, and knows the image of the binary under test.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    /// The agent's image there.
    pub image: String,
    /// Whether its machines are the lab's, which can be looked into.
    lab: Option<PathBuf>,
}

/// Whether it is so; if not, what is instead.
pub fn so(is: bool, instead: impl FnOnce() -> String) -> Result<(), String> {
    if is { Ok(()) } else { Err(instead()) }
}

pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/kubernetes")
}

/// The lab's own folder.
pub fn folder() -> PathBuf {
    match std::env::var("FIREDRILL_LAB") {
        Ok(lab) => PathBuf::from(lab),
        Err(_) => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kubernetes-lab"),
    }
}

/// The cluster, if there is one to test with.
pub fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    match CLUSTER.get_or_init(find) {
        Ok(cluster) => Some(cluster),
        Err(why) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must have a cluster: {why}");
            println!("skipped: no Kubernetes cluster: {why}");
            None
        }
    }
}

fn find() -> Result<Cluster, String> {
    if let Ok(kubeconfig) = std::env::var("FIREDRILL_TEST_KUBECONFIG") {
        let image = std::env::var("FIREDRILL_TEST_AGENT_IMAGE")
            .map_err(|_| "FIREDRILL_TEST_AGENT_IMAGE must name the agent's image there")?;
        return Ok(Cluster { kubeconfig: kubeconfig.into(), image, lab: None });
    }
    if !rustix::process::geteuid().is_root() {
        return Err("the lab needs root".into());
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    fs::create_dir_all(&target).map_err(|e| e.to_string())?;
    // Several test binaries may want it at once.
    let lock = File::create(target.join("kubernetes-lab.lock")).map_err(|e| e.to_string())?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|e| e.to_string())?;
    let lab = folder();
    // Does nothing where it is up to date; else says what it lacks, such as Go.
    script("build", &[])?;
    script("up", &[])?;
    let image = load(&lab)?;
    let cluster = Cluster { kubeconfig: lab.join("pki/admin.kubeconfig"), image, lab: Some(lab) };
    cluster.give_machines_back();
    Ok(cluster)
}

fn script(name: &str, arguments: &[&str]) -> Result<String, String> {
    // What it starts must not hold the test's output open.
    let log = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    let mut command = Command::new(scripts().join(name));
    command.args(arguments).stdout(log.reopen().map_err(|e| e.to_string())?);
    command.stderr(log.reopen().map_err(|e| e.to_string())?);
    let status = command.status().map_err(|e| format!("{name}: {e}"))?;
    let said = fs::read_to_string(log.path()).map_err(|e| e.to_string())?;
    if status.success() { Ok(said) } else { Err(format!("{name}: {said}")) }
}

/// Brings the binary under test to every machine of the lab, once. Its image's name.
fn load(lab: &Path) -> Result<String, String> {
    let binary = env!("CARGO_BIN_EXE_firedrill");
    let sum = Command::new("sha256sum").arg(binary).output().map_err(|e| e.to_string())?;
    let digest = String::from_utf8_lossy(&sum.stdout).chars().take(16).collect::<String>();
    let name = format!("lab.local/firedrill:{digest}");
    let done = lab.join(format!("run/loaded-{digest}"));
    if done.exists() {
        return Ok(name);
    }
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (bare, tar) = (folder.path().join("firedrill"), folder.path().join("image.tar"));
    let stripped = Command::new("strip").arg("-o").args([&bare, Path::new(binary)]).status();
    assert!(stripped.is_ok_and(|status| status.success()), "strip (Debian: binutils)");
    let mut image = Command::new(binary);
    image.args(["image", "--tag", &name, "--tar"]).arg(&tar).arg("--binary").arg(&bare);
    let made = image.output().map_err(|e| e.to_string())?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for machine in ["1", "2", "3"] {
        script("node", &["load", machine, &tar.display().to_string()])?;
    }
    fs::write(done, "").map_err(|e| e.to_string())?;
    Ok(name)
}

impl Cluster {
    pub fn try_kubectl(&self, arguments: &str) -> Output {
        let own = self.lab.as_ref().map(|lab| lab.join("bin/kubectl"));
        let mut command = Command::new(own.unwrap_or_else(|| "kubectl".into()));
        command.env("KUBECONFIG", &self.kubeconfig).args(arguments.split_whitespace());
        command.output().unwrap()
    }

    pub fn kubectl(&self, arguments: &str) -> String {
        let out = self.try_kubectl(arguments);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "kubectl {arguments}: {said}");
        String::from_utf8(out.stdout).unwrap().trim().to_string()
    }

    /// What a test left that failed, of machines: it ended whoever would have given it back.
    pub fn give_machines_back(&self) {
        for machine in self.kubectl("get nodes -l firedrill.run -o name").lines() {
            self.kubectl(&format!("uncordon {machine}"));
            self.try_kubectl(&format!("taint {machine} maintenance- broken- drill-"));
            self.kubectl(&format!("annotate {machine} firedrill.held-"));
            self.kubectl(&format!("label {machine} firedrill.run-"));
        }
    }

    /// Its kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Whether its machines can be looked into and loaded.
    pub fn is_lab(&self) -> bool {
        self.lab.is_some()
    }

    /// An image archive for a machine of the lab that runs.
    pub fn load(&self, machine: &str, tar: &Path) {
        script("node", &["load", machine, &tar.display().to_string()]).unwrap();
    }

    pub fn node(&self, command: &str, machine: &str) {
        script("node", &[command, machine]).unwrap();
    }

    /// Three etcd members in a namespace of their own, whose data outlives their pods.
    pub fn members(&'static self) -> Members {
        self.members_of(ETCD)
    }

    /// The same, whose data ends with their pods: a member that is deleted can never join again.
    pub fn forgetful_members(&'static self) -> Members {
        let lasting = "hostPath: {path: /var/lib/firedrill-etcd, type: DirectoryOrCreate}";
        assert!(ETCD.contains(lasting));
        self.members_of(&ETCD.replace(lasting, "emptyDir: {}"))
    }

    /// The same, with a file system of their own at /full, of a limited size.
    pub fn members_with_disks(&'static self) -> Members {
        let (mounts, volumes) = ("          volumeMounts:\n", "      volumes:\n");
        assert!(ETCD.contains(mounts) && ETCD.contains(volumes));
        let mount = format!("{mounts}            - {{name: full, mountPath: /full}}\n");
        let volume = format!(
            "{volumes}        - {{name: full, emptyDir: {{medium: Memory, sizeLimit: 16Mi}}}}\n"
        );
        self.members_of(&ETCD.replace(mounts, &mount).replace(volumes, &volume))
    }

    fn members_of(&'static self, manifest: &str) -> Members {
        self.system(manifest, "statefulset etcd")
    }

    /// What a manifest describes, in a namespace of its own, once three pods of `of` are ready.
    pub fn system(&'static self, manifest: &str, of: &str) -> Members {
        let namespace = format!("tested-{:08x}", rand::random::<u32>());
        self.kubectl(&format!("create namespace {namespace}"));
        let members = Members {
            cluster: self,
            namespace,
            home: Home::new(),
            may_all: false,
            allowed: Mutex::default(),
        };
        let manifest = members.home.write("manifest.yaml", manifest);
        members.kubectl(&format!("apply -f {}", manifest.display()));
        eventually("three pods are ready", || {
            let ready = format!("get {of} -o jsonpath={{.status.readyReplicas}}");
            so(members.kubectl(&ready) == "3", || members.kubectl("get pods"))
        });
        members
    }

    /// An image of one static program, on every machine of the lab.
    pub fn bring(&self, program: &Path, image: &str) {
        let folder = tempfile::tempdir().unwrap();
        let tar = folder.path().join("image.tar");
        let arguments = [&tar.display().to_string(), &program.display().to_string(), image];
        script("image", &arguments).unwrap();
        ["1", "2", "3"].into_iter().for_each(|machine| self.load(machine, &tar));
    }
}

/// Three etcd members, or what else is drilled, and a home to drill them from.
#[derive(Debug)]
pub struct Members {
    pub cluster: &'static Cluster,
    pub namespace: String,
    pub home: Home,
    /// Whether a drill may do all that is of use to it, and not just what it cannot do without.
    pub may_all: bool,
    /// The scenario that the account of the drill has the rights for.
    allowed: Mutex<String>,
}

/// The API server takes a moment to know of new roles; a scenario that is refused for something else stays so.
fn settled(plan: impl Fn() -> Command, kubeconfig: &Path) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let out = plan().env("KUBECONFIG", kubeconfig).output().unwrap();
        if !String::from_utf8_lossy(&out.stderr).contains("kind: Role") {
            return;
        }
    }
}

impl Members {
    pub fn kubectl(&self, arguments: &str) -> String {
        self.cluster.kubectl(&format!("--namespace {} {arguments}", self.namespace))
    }

    /// firedrill, as whoever it should be: a drill of these pods is a service account with the very roles that
    /// `manifests rbac` prints for its scenario, and nothing else may it do.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = self.as_admin(arguments);
        let words: Vec<&str> = arguments.split_whitespace().collect();
        // A job in the cluster is started by a person, and is an account itself.
        if words.first() == Some(&"run")
            && !words.contains(&"--in-cluster")
            && let Some(kubeconfig) = self.account(words[1])
        {
            command.env("KUBECONFIG", kubeconfig);
        }
        command
    }

    /// firedrill, by somebody who may do anything in the cluster.
    pub fn as_admin(&self, arguments: &str) -> Command {
        let mut command = self.home.command(arguments);
        command.env("KUBECONFIG", &self.cluster.kubeconfig);
        command
    }

    /// A kubeconfig of the scenario's own service account; `None` where there can be none, since it is refused.
    pub fn account(&self, scenario: &str) -> Option<PathBuf> {
        let (kubeconfig, text) = (self.home.path("drill.kubeconfig"), self.home.read(scenario));
        let mut allowed = self.allowed.lock().unwrap();
        if *allowed == text {
            return Some(kubeconfig);
        }
        let printed = self.as_admin(&format!("manifests rbac {scenario}")).output().unwrap();
        if !printed.status.success() {
            return None;
        }
        let mut roles = String::from_utf8(printed.stdout).unwrap();
        if self.may_all {
            roles = roles.replace("\n# - {", "\n- {");
        }
        let file = self.home.write("rbac.yaml", &roles);
        self.kubectl(&format!("apply -f {}", file.display()));
        let name = roles.split("{name: ").nth(1).unwrap().split(',').next().unwrap();
        self.write_kubeconfig(name);
        settled(|| self.as_admin(&format!("plan {scenario}")), &kubeconfig);
        *allowed = text;
        Some(kubeconfig)
    }

    /// A kubeconfig of a service account's, in the home.
    pub fn write_kubeconfig(&self, account: &str) -> PathBuf {
        let text = self.cluster.kubectl("config view --raw --flatten --minify --output json");
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        let token = self.kubectl(&format!("create token {account} --duration 1h"));
        let user = config["contexts"][0]["context"]["user"].clone();
        config["users"] = serde_json::json!([{"name": user, "user": {"token": token}}]);
        self.home.write("drill.kubeconfig", &config.to_string())
    }

    /// A scenario of these faults.
    pub fn scenario(&self, faults: &str) {
        let (namespace, image) = (&self.namespace, &self.cluster.image);
        self.home.write(
            "s.yaml",
            &format!(
                "name: pods\ntarget:\n  kubernetes: {{namespace: {namespace}, selector: app=etcd, ports: \
                 {{client: 2379}}, agent_image: '{image}'}}\nlease: 2s\nworkload: {{client: etcd, model: \
                 register, workers: 20, rate: 30/s, keys: 5, timeout: 1s}}\nsteady_state: {{window: 900ms, \
                 success: 20%, rate: 10%}}\nrecover: 4s\nfaults:\n{faults}checks: [linearizable, \
                 {{lost-writes: {{max: 0}}}}]\n"
            ),
        );
    }

    /// Puts what `manifests rbac` prints for its scenario into the cluster.
    pub fn allow_what_it_needs(&self) {
        let out = self.command("manifests rbac s.yaml").output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let file = self.home.write("rbac.yaml", &String::from_utf8(out.stdout).unwrap());
        self.kubectl(&format!("apply -f {}", file.display()));
    }

    /// A pod's uid, and how often its container was restarted.
    pub fn pod(&self, name: &str) -> (String, u32) {
        let what = "{.metadata.uid} {.status.containerStatuses[0].restartCount}";
        let said = self.kubectl(&format!("get pod {name} -o jsonpath={}", what.replace(' ', "/")));
        let (uid, restarts) = said.split_once('/').unwrap();
        (uid.to_string(), restarts.parse().unwrap())
    }

    /// The packet filter, devices and queues in each pod's network, as the machines tell it.
    pub fn networks(&self) -> Vec<String> {
        ["etcd-0", "etcd-1", "etcd-2"].map(|pod| self.network(pod)).into()
    }

    pub fn network(&self, pod: &str) -> String {
        let at = "{.spec.nodeName}/{.status.podIP}";
        let said = self.kubectl(&format!("get pod {pod} -o jsonpath={at}"));
        let (machine, address) = said.split_once('/').unwrap();
        self.network_at(machine, address)
    }

    /// The same, of the pod of this address.
    pub fn network_at(&self, machine: &str, address: &str) -> String {
        let look = format!(
            "for ns in /run/netns/*; do if nsenter --net=$ns ip -o addr show eth0 2>/dev/null | grep -qF ' {address}/'; \
             then nsenter --net=$ns sh -c 'nft list ruleset; ip -o link; tc qdisc'; fi; done"
        );
        self.inside(machine, &look)
    }

    /// What a shell on a machine of the lab says to this.
    pub fn inside(&self, machine: &str, command: &str) -> String {
        let machine = machine.trim_start_matches('n');
        script("node", &["inside", machine, "sh", "-c", command]).unwrap()
    }

    /// Waits until no agent runs any more.
    pub fn assert_no_agents(&self) {
        eventually("every agent has ended", || {
            let agents = self.agents();
            so(agents.is_empty(), || agents.join("; "))
        });
    }

    /// The agents that run now, by pod.
    pub fn agents(&self) -> Vec<String> {
        let what = "{range.items[*]}{.metadata.name}={.status.ephemeralContainerStatuses[*].state}{'\\n'}{end}";
        let said = self.kubectl(&format!("get pods -l app=etcd -o jsonpath={what}"));
        said.lines().filter(|line| line.contains("running")).map(String::from).collect()
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        let delete = format!("delete namespace {} --wait=false", self.namespace);
        let _ = self.cluster.try_kubectl(&delete);
        // What a role of the cluster is called ends with the namespace that it is for.
        for kind in ["clusterrole", "clusterrolebinding"] {
            let all = self.cluster.try_kubectl(&format!("get {kind} -o name"));
            let all = String::from_utf8_lossy(&all.stdout).into_owned();
            for own in all.lines().filter(|name| name.ends_with(&self.namespace)) {
                let _ = self.cluster.try_kubectl(&format!("delete {own}"));
            }
        }
    }
}
