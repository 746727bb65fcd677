//! An engine of the test's own, in a network namespace of its own: it can be restarted in the middle of a drill, and
//! spoken to over TLS, and the machine's engine and network notice nothing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{ENGINE, make_image, try_docker};
use crate::runner::{Going, Home, eventually};

/// Where it listens with TLS, in its own namespace.
const PORT: u16 = 2376;

#[derive(Debug)]
pub struct Engine {
    folder: tempfile::TempDir,
    options: Vec<String>,
    /// Keeps the namespace while the engine is down.
    holder: Child,
    engine: Option<Child>,
}

impl Engine {
    /// Starts one; `None` where this machine cannot, which is said, and is an error in CI.
    pub fn start(options: &[&str]) -> Option<Engine> {
        if let Err(why) = possible() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must start an engine: {why}");
            println!("skipped: {why}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let holder = Command::new("unshare").args(["--net", "sleep", "infinity"]).spawn().unwrap();
        let options = options.iter().map(|o| o.to_string()).collect();
        let mut engine = Engine { folder, options, holder, engine: None };
        eventually("the namespace is there", || {
            let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/net"));
            match namespace("self").ok() != namespace(&engine.holder.id().to_string()).ok() {
                true => Ok(()),
                false => Err("still the test's".into()),
            }
        });
        let up = engine.inside("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        engine
            .speak(&[("DOCKER_HOST", &format!("unix://{}", engine.path("docker.sock").display()))]);
        engine.up();
        make_image();
        Some(engine)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on this thread's clients find their engine by these variables.
    pub fn speak(&self, variables: &[(&str, &str)]) {
        let owned = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        ENGINE.set(owned);
    }

    /// Over TLS, with what is in this folder. Docker's own client is still spoken to by the socket.
    pub fn over_tls(&self, mut drill: Command, certificates: &Path) -> Command {
        drill.env("DOCKER_HOST", format!("tcp://127.0.0.1:{PORT}"));
        drill.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", certificates);
        drill
    }

    /// The options with which it listens there.
    pub fn tls_options(certificates: &Path) -> Vec<String> {
        let of = |name: &str| certificates.join(name).display().to_string();
        vec![
            format!("--host=tcp://127.0.0.1:{PORT}"),
            "--tlsverify".into(),
            format!("--tlscacert={}", of("ca.pem")),
            format!("--tlscert={}", of("server.pem")),
            format!("--tlskey={}", of("server-key.pem")),
        ]
    }

    /// A command in its namespace.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg(program);
        command
    }

    /// firedrill in its namespace: from there clients reach the nodes.
    pub fn firedrill(&self, home: &Home, arguments: &str) -> Command {
        let plain = home.command(arguments);
        let mut command = self.inside(plain.get_program().to_str().unwrap());
        command.args(plain.get_args()).stdin(Stdio::null());
        command.current_dir(plain.get_current_dir().unwrap());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.envs(ENGINE.with_borrow(Clone::clone));
        command
    }

    pub fn drill(&self, home: &Home) -> Going {
        home.start_command(self.firedrill(home, "run s.yaml -v"))
    }

    pub fn up(&mut self) {
        let mut command = self.inside("dockerd");
        let of = |name: &str| self.path(name).display().to_string();
        command.arg(format!("--host=unix://{}", of("docker.sock")));
        command.args(["--data-root", &of("data"), "--exec-root", &of("exec")]);
        command.args(["--pidfile", &of("pid"), "--iptables=false", "--bridge=none"]);
        let log = File::options().append(true).create(true).open(self.path("log")).unwrap();
        command.args(&self.options).stdout(log.try_clone().unwrap()).stderr(log);
        self.engine = Some(command.spawn().unwrap());
        eventually("the engine answers", || match try_docker("version").status.success() {
            true => Ok(()),
            false => Err(fs::read_to_string(self.path("log")).unwrap()),
        });
    }

    /// Asks it to end, and waits until it did.
    pub fn down(&mut self) {
        let Some(mut engine) = self.engine.take() else { return };
        let pid = Pid::from_raw(engine.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        engine.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.down();
        self.up();
    }
}

/// Why no engine can be started here.
fn possible() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("an engine of the test's own needs root".into());
    }
    for program in ["dockerd", "docker", "nsenter", "unshare", "ip"] {
        if Command::new(program).arg("--version").output().is_err() {
            return Err(format!("`{program}` is not installed"));
        }
    }
    Ok(())
}

impl Drop for Engine {
    fn drop(&mut self) {
        let left = try_docker("ps --all --quiet").stdout;
        for id in String::from_utf8_lossy(&left).lines() {
            try_docker(&format!("rm --force {id}"));
        }
        self.down();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let within = |line: &&str| line.contains(&*self.folder.path().to_string_lossy());
        for mount in mounts.lines().filter(within).filter_map(|l| l.split(' ').nth(1)) {
            let _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
    }
}
