//! The agent's image, made of the real binary: everybody whom it is meant for reads it, and what it holds runs there.

mod containers;
mod lab;
mod runner;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use runner::{Home, eventually};

/// A registry of this machine's, which ends with the test: Debian's docker-registry.
struct Registry {
    process: Child,
    port: u16,
}

impl Registry {
    /// `lines`: more of its configuration. `None`: it is not installed, which is said.
    fn start(home: &Home, lines: &str) -> Option<Registry> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let blobs = home.path("registry");
        let config = home.write(
            "registry.yml",
            &format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: \
                 {{addr: '127.0.0.1:{port}'}}\n{lines}",
                blobs.display()
            ),
        );
        let program = std::env::var("FIREDRILL_TEST_REGISTRY").unwrap_or("docker-registry".into());
        let mut command = Command::new(&program);
        command.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null());
        let process = match command.stderr(Stdio::null()).spawn() {
            Ok(process) => process,
            Err(e) => {
                let ci = std::env::var("CI").as_deref() == Ok("true");
                assert!(!ci, "CI must have a registry: {program}: {e} (Debian: docker-registry)");
                println!("skipped: no registry: {program}: {e} (Debian: docker-registry)");
                return None;
            }
        };
        let registry = Registry { process, port };
        eventually("the registry accepts connections", || {
            TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|e| e.to_string())
        });
        Some(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary without what only debuggers read: an image of all of it takes long to carry about.
fn bare(home: &Home) -> PathBuf {
    let bare = home.path("firedrill");
    let mut strip = Command::new("strip");
    strip.arg("-o").args([&bare, Path::new(env!("CARGO_BIN_EXE_firedrill"))]);
    assert!(strip.status().is_ok_and(|status| status.success()), "strip (Debian: binutils)");
    bare
}

/// The same as if it were for arm64. It would not run there.
fn for_arm64(home: &Home, binary: &Path) -> PathBuf {
    let mut bytes = fs::read(binary).unwrap();
    bytes[18..20].copy_from_slice(&183u16.to_le_bytes());
    let other = home.path("firedrill-arm64");
    fs::write(&other, bytes).unwrap();
    other
}

/// A name that no other test's image has.
fn name(of: &str) -> String {
    format!("lab.local/{of}:{:08x}", rand::random::<u32>())
}

/// What `docker run NAME --version` says. Removes the image.
fn version_in_docker(name: &str) -> String {
    let said = containers::docker(&format!("run --rm --network none {name} --version"));
    containers::docker(&format!("image rm {name}"));
    said
}

#[test]
fn a_docker_engine_takes_it_from_a_file_and_directly_and_it_runs() {
    if !containers::engine() {
        return;
    }
    let home = Home::new();
    let (binary, version) = (bare(&home), format!("firedrill {}", env!("CARGO_PKG_VERSION")));
    let other = for_arm64(&home, &binary);
    for more in [String::new(), format!(" --binary {}", other.display())] {
        let (binary, name) = (format!("--binary {}{more}", binary.display()), name("filed"));
        let tar = format!("image --tag {name} --tar image.tar {binary}");
        home.run(&tar).expect(0, &[&name, "image.tar", "sha256:"]);
        let first = fs::read(home.path("image.tar")).unwrap();
        home.run(&tar).expect(0, &[]);
        assert!(first == fs::read(home.path("image.tar")).unwrap(), "same binary, same bytes");
        containers::docker(&format!("load --quiet --input {}", home.path("image.tar").display()));
        assert_eq!(version_in_docker(&name), version);
    }
    let name = name("loaded");
    let direct = format!("image --tag {name} --docker --binary {}", binary.display());
    home.run(&direct).expect(0, &[&name, "loaded into the Docker engine", "for amd64"]);
    assert_eq!(version_in_docker(&name), version);
}

#[test]
fn a_clusters_machines_take_an_image_of_two_kinds_and_run_theirs() {
    let Some(cluster) = lab::cluster() else { return };
    if !cluster.is_lab() {
        return println!("skipped: the cluster's machines cannot be loaded with images from here");
    }
    let (home, name) = (Home::new(), name("both"));
    let binary = bare(&home);
    let other = for_arm64(&home, &binary);
    let (binary, other) = (binary.display(), other.display());
    home.run(&format!("image --tag {name} --tar both.tar --binary {other} --binary {binary}"))
        .expect(0, &["for amd64, arm64"]);
    cluster.load("1", &home.path("both.tar"));
    let pod = format!("both-{:08x}", rand::random::<u32>());
    let on_first = r#"{"spec":{"nodeName":"n1"}}"#;
    cluster.kubectl(&format!(
        "run {pod} --image {name} --image-pull-policy Never --restart Never --overrides {on_first} -- --version"
    ));
    let done = format!("wait pod {pod} --for jsonpath={{.status.phase}}=Succeeded --timeout 40s");
    let ended = cluster.try_kubectl(&done);
    let (said, pods) = (
        cluster.try_kubectl(&format!("logs {pod}")),
        cluster.kubectl(&format!("describe pod {pod}")),
    );
    cluster.kubectl(&format!("delete pod {pod} --wait=false"));
    assert!(ended.status.success(), "{pods}");
    let said = String::from_utf8_lossy(&said.stdout);
    assert_eq!(said.trim(), format!("firedrill {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_registry_gets_it_once_and_gives_it_back_whole() {
    let home = Home::new();
    let Some(registry) = Registry::start(&home, "") else { return };
    let binary = bare(&home);
    let other = for_arm64(&home, &binary);
    let reference = format!("127.0.0.1:{}/firedrill/agent:1", registry.port);
    let push = format!("image --tag {reference} --push --binary {}", binary.display());
    home.run(&push).expect(0, &["2 blobs sent, 0 there already", "for amd64"]);
    home.run(&push).expect(0, &["0 blobs sent, 2 there already"]);
    home.run(&format!("{push} --binary {}", other.display()))
        .expect(0, &["2 blobs sent, 2 there already", "for amd64, arm64"]);
    if containers::engine() {
        // Of an index an engine pulls what its machine runs, and compares each digest.
        containers::docker(&format!("pull --quiet {reference}"));
        let version = format!("firedrill {}", env!("CARGO_PKG_VERSION"));
        assert_eq!(version_in_docker(&reference), version);
    }
}

#[test]
fn a_registry_that_wants_a_password_gets_what_docker_login_wrote_down() {
    let home = Home::new();
    // The password is `secret`.
    let users = "drill:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
    let users = home.write("users", users);
    let wants = format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", users.display());
    let Some(registry) = Registry::start(&home, &wants) else { return };
    let host = format!("127.0.0.1:{}", registry.port);
    let binary = bare(&home);
    let push = || {
        let push = format!("image --tag {host}/agent:1 --push --binary {}", binary.display());
        let mut command = home.command(&push);
        command.env("DOCKER_CONFIG", home.path("docker"));
        home.start_command(command).end()
    };
    push().expect(3, &["without credentials (there is no", &format!("docker login {host}")]);
    for (auth, code, said) in [
        ("ZHJpbGw6d3Jvbmc=", 3, "with the credentials that Docker's configuration has"),
        ("ZHJpbGw6c2VjcmV0", 0, "2 blobs sent"),
    ] {
        let config = format!(r#"{{"auths": {{"{host}": {{"auth": "{auth}"}}}}}}"#);
        home.write("docker/config.json", &config);
        push().expect(code, &[said]);
    }
}

/// What was asked of a scripted registry: the first line of each request, and who asked.
type Asked = mpsc::Receiver<(String, Option<String>)>;

/// A registry that answers from this script, on a port of its own, until the test ends.
fn scripted(answer: impl Fn(&str, Option<&str>) -> String + Send + 'static) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (tell, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut lines, mut length) = (vec![], 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                match line.trim_end() {
                    "" => break,
                    line => lines.push(line.to_string()),
                }
            }
            let value = |name: &str| {
                let named = |line: &&String| line.to_lowercase().starts_with(name);
                lines.iter().find(named).and_then(|line| Some(line.split_once(": ")?.1.to_string()))
            };
            if let Some(text) = value("content-length:") {
                length = text.parse().unwrap();
            }
            std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap();
            let who = value("authorization:");
            let said = answer(&lines[0], who.as_deref());
            let _ = write!(stream, "HTTP/1.1 {said}");
            let _ = tell.send((lines[0].clone(), who));
        }
    });
    (host, asked)
}

#[test]
fn a_token_is_had_with_the_password_and_goes_to_the_registry_alone() {
    const END: &str = "Connection: close\r\nContent-Length: 0\r\n\r\n";
    let (store, stored) = scripted(|_, _| format!("201 Created\r\n{END}"));
    let (tokens, wanted) = scripted(|_, _| {
        let body = r#"{"token": "permitted"}"#;
        format!("200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let realm = format!("http://{tokens}/token");
    let (registry, asked) = scripted(move |request, who| match (who, request.split(' ').next()) {
        (Some("Bearer permitted"), Some("HEAD")) => format!("404 Not Found\r\n{END}"),
        (Some("Bearer permitted"), Some("POST")) => {
            format!("202 Accepted\r\nLocation: http://{store}/up?state=x\r\n{END}")
        }
        (Some("Bearer permitted"), Some("PUT")) => format!("201 Created\r\n{END}"),
        _ => format!(
            "401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"{realm}\",service=\"a registry\"\r\n{END}"
        ),
    });
    let home = Home::new();
    home.write(
        "docker/config.json",
        &format!(r#"{{"auths": {{"{registry}": {{"auth": "YTpi"}}}}}}"#),
    );
    let binary = bare(&home);
    let push = format!("image --tag {registry}/a/b:1 --push --binary {}", binary.display());
    let mut command = home.command(&push);
    command.env("DOCKER_CONFIG", home.path("docker"));
    home.start_command(command).end().expect(0, &["2 blobs sent"]);

    let tokens: Vec<_> = wanted.try_iter().collect();
    let token = "GET /token?scope=repository:a/b:pull,push&service=a%20registry HTTP/1.1";
    assert_eq!(tokens, [(token.to_string(), Some("Basic YTpi".to_string()))], "once");
    let stored: Vec<_> = stored.try_iter().collect();
    assert_eq!(stored.len(), 2, "{stored:?}");
    for (request, who) in &stored {
        assert!(request.starts_with("PUT /up?state=x&digest=sha256:"), "{request}");
        assert_eq!(who, &None, "the token is none of the store's business");
    }
    let asked: Vec<_> = asked.try_iter().collect();
    assert!(asked.iter().all(|(_, who)| who.as_deref() != Some("Basic YTpi")), "{asked:?}");
    assert!(asked.last().unwrap().0.starts_with("PUT /v2/a/b/manifests/1 "), "{asked:?}");
}

#[test]
fn what_cannot_be_is_said() {
    let home = Home::new();
    let said = ["--tar <FILE>", "--docker", "--push"];
    home.run("image --tag a/b:1").expect(2, &said);
    home.run("image --tag a/b:1 --docker --push").expect(2, &["cannot be used with"]);
    home.run("image --tag a/b --docker").expect(2, &["`a/b` has no tag"]);
    home.run("image --tag a:1 --tar x --binary /bin/sh")
        .expect(2, &["/bin/sh: it is not a static"]);
    let own = env!("CARGO_BIN_EXE_firedrill");
    home.run(&format!("image --tag a:1 --tar x --binary {own} --binary {own}"))
        .expect(2, &["two binaries are for amd64"]);
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    home.run(&format!(
        "image --tag 127.0.0.1:{port}/a:1 --push --binary {}",
        bare(&home).display()
    ))
    .expect(3, &["no registry answers at http://127.0.0.1", "refused"]);
    assert!(!home.path("x").exists());
}
