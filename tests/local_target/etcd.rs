//! Three real etcd members behind the link proxies: they elect a leader, lose one to a cut, get it
//! back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use firedrill::condition::{Condition, Life, Link};
use firedrill::target::Target;
use firedrill::target::local::Local;

use crate::cast::{Run, eventually, links, options};

const LONG: Duration = Duration::from_secs(30);

/// The options of three members; `None` where etcd is not installed.
async fn cluster() -> Option<Run> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join("etcd").is_file()) {
        println!("skipped: etcd is not installed");
        return None;
    }
    let (mut options, folder) = options(3);
    options.env.clear();
    options.peers = "{name}=http://{address.peer}".parse().unwrap();
    options.ready_timeout = LONG;
    options.command = "etcd --name {name} --data-dir {data}/etcd --initial-cluster {peers} \
        --listen-client-urls http://{listen.client} --advertise-client-urls http://{address.client} \
        --listen-peer-urls http://{listen.peer} --initial-advertise-peer-urls http://{address.peer} \
        --heartbeat-interval 50 --election-timeout 500"
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let local = Local::new(options.clone()).unwrap();
    let inventory = local.start().await.unwrap();
    Some(Run::new(local, inventory, options, folder))
}

/// What a member answers over HTTP; empty if it does not.
fn post(run: &Run, node: &str, path: &str, body: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(run.endpoint(node))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let length = body.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: etcd\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().unwrap_or_default()
}

fn field(answer: &str, name: &str) -> Option<String> {
    let (_, rest) = answer.split_once(&format!("\"{name}\":\""))?;
    Some(rest.split_once('"')?.0.to_string())
}

/// The member that a node holds to lead, and the node's own id.
fn leader(run: &Run, node: &str) -> Option<(String, String)> {
    let status = post(run, node, "/v3/maintenance/status", "{}");
    Some((field(&status, "leader")?, field(&status, "member_id")?))
}

/// Whether the node takes a write.
fn writes(run: &Run, node: &str) -> bool {
    post(run, node, "/v3/kv/put", r#"{"key":"a2V5","value":"dmFsdWU="}"#).contains("revision")
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_elects_a_leader_loses_it_to_a_cut_and_takes_it_back() {
    let Some(run) = cluster().await else { return };
    let names = ["n1", "n2", "n3"];
    assert!(eventually(LONG, || names.iter().all(|n| writes(&run, n))));
    let leads = |node: &&str| leader(&run, node).is_some_and(|(leader, own)| leader == own);
    // A busy machine may be between two leaders just now.
    let mut old = None;
    assert!(eventually(LONG, || {
        old = names.into_iter().find(leads);
        old.is_some()
    }));
    let old = old.unwrap();
    let others: Vec<&str> = names.into_iter().filter(|n| *n != old).collect();

    let cut: Vec<(&str, Link)> = others.iter().map(|n| (*n, Link::CUT)).collect();
    run.apply(old, &links(&cut, &cut)).await;
    run.proof(old).await;
    assert!(eventually(LONG, || others.iter().all(|n| writes(&run, n))), "a new leader");
    assert!(eventually(LONG, || others.iter().any(leads)), "one of the majority leads");
    assert!(!writes(&run, old), "the old leader is cut off");

    run.heal(old).await;
    run.proof(old).await;
    assert!(eventually(LONG, || names.iter().all(|n| writes(&run, n))), "it rejoins");
    for life in [Life::Killed, Life::Paused] {
        run.life(others[0], life).await;
        run.proof(others[0]).await;
        assert!(eventually(LONG, || writes(&run, others[1])), "two are a majority");
        run.apply(others[0], &Condition::default()).await;
        assert!(eventually(LONG, || writes(&run, others[0])), "{life:?}: it comes back");
    }
    assert_eq!(run.local.stop().await, Vec::<String>::new());
    assert_eq!(run.marked(), 0);
}
