//! The http client: what counts as an answer, and a drill of real web servers by it.

mod runner;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use firedrill::history::{Call, Outcome, Reply};
use firedrill::inventory::{AddressBook, Endpoints, Inventory, Node, NodeId};
use firedrill::workload::client::http::{Http, Where};
use firedrill::workload::client::{Client, Driver};
use runner::Home;

const TIMEOUT: Duration = Duration::from_millis(500);

/// A server that does this with each connection's first request; how many it had.
fn server(
    answer: impl Fn(&mut TcpStream, &str) + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut first) = (stream.unwrap(), String::new());
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut first).unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            answer(&mut stream, first.trim());
        }
    });
    (at, count)
}

fn saying(text: &'static str) -> SocketAddr {
    server(move |stream, _| stream.write_all(text.as_bytes()).unwrap()).0
}

fn driver(at: &[SocketAddr], place: Where) -> Http {
    let node = |(i, at): (usize, &SocketAddr)| Node {
        id: NodeId::new(format!("n{}", i + 1)),
        zone: "z".into(),
        endpoints: Endpoints::from([("web".to_string(), at.to_string())]),
    };
    let inventory = Inventory::new(at.iter().enumerate().map(node).collect());
    Http::new(&AddressBook::from(&inventory), place, TIMEOUT).unwrap()
}

fn nodes(path: &str) -> Where {
    Where::Nodes { port: None, path: path.into() }
}

async fn told(client: &mut Box<dyn Client>) -> Outcome {
    client.invoke(&Call::Read { key: 3 }).await
}

#[tokio::test]
async fn a_status_below_400_is_an_answer_and_anything_else_a_failure() {
    let answers = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Ok(200)),
        ("HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n", Ok(302)),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Err("n1: status 404")),
        ("HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n", Err("n1: status 503")),
        // It ends before it is complete.
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", Err("n1: ")),
        ("", Err("n1: ")),
    ];
    for (text, expected) in answers {
        let mut client = driver(&[saying(text)], nodes("/")).client(0).unwrap();
        match (told(&mut client).await, expected) {
            (Outcome::Ok(reply), Ok(status)) => assert_eq!(reply, Reply::Value(Some(status))),
            (Outcome::Fail(why), Err(expected)) => assert!(why.starts_with(expected), "{why}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn who_says_nothing_in_time_has_failed() {
    let (at, _) = server(|_, _| std::thread::sleep(Duration::from_secs(5)));
    let mut client = driver(&[at], nodes("/")).client(0).unwrap();
    assert_eq!(told(&mut client).await, Outcome::Fail("n1: time-out".into()));
}

#[tokio::test]
async fn a_client_keeps_to_its_node_until_that_fails_it_and_fills_in_the_page() {
    let fine = |stream: &mut TcpStream, first: &str| {
        let status = if first == "GET /page/3?a=b HTTP/1.1" { "200" } else { "404" };
        write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
    };
    let ((one, asked), away) = (server(fine), saying(""));
    let driver = driver(&[away, one], nodes("/page/{key}?a=b"));
    let mut client = driver.client(0).unwrap();
    let first = client.node(&Call::Read { key: 3 }).unwrap();
    assert_eq!(first.as_str(), "n1");
    assert!(matches!(told(&mut client).await, Outcome::Fail(_)));
    for _ in 0..3 {
        assert_eq!(told(&mut client).await, Outcome::Ok(Reply::Value(Some(200))));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    // The next process begins with the next node, and one address for all of it is asked as it is.
    let second = driver.client(1).unwrap().node(&Call::Read { key: 3 }).unwrap();
    assert_eq!(second.as_str(), "n2");
    let url = Where::Url(format!("http://{one}/page/{{key}}?a=b"));
    let mut client = self::driver(&[away], url).client(0).unwrap();
    assert_eq!(client.node(&Call::Read { key: 3 }), None);
    assert_eq!(told(&mut client).await, Outcome::Ok(Reply::Value(Some(200))));
}

#[test]
fn a_port_that_no_node_has_is_said() {
    let inventory = Inventory::new(vec![]);
    let of = |port: Option<&str>, inventory: &Inventory| {
        let place = Where::Nodes { port: port.map(String::from), path: "/".into() };
        Http::new(&AddressBook::from(inventory), place, TIMEOUT).unwrap_err().to_string()
    };
    assert!(of(None, &inventory).contains("no node"));
    let (id, zone) = (NodeId::new("n1"), "z".into());
    let one = Inventory::new(vec![Node { id, zone, endpoints: Endpoints::default() }]);
    assert!(of(Some("web"), &one).contains("node n1 has no port `web`"));
}

/// Three web servers, of which one is killed and another one hangs.
fn web(home: &Home, server: &str, checks: &str) {
    home.write("www/index.html", "good day\n");
    let www = home.path("www");
    home.write(
        "s.yaml",
        &format!(
            "name: web\ntarget: {{local: {{zones: {{a: 1, b: 1, c: 1}}, ports: [web], ready: {{port: web}}, command: \
             [{server}, '{}']}}}}\nworkload: {{client: http, model: requests, rate: 100/s, timeout: \
             300ms}}\nsteady_state: {{window: 900ms, success: 90%, rate: 50%}}\nfaults:\n  - {{at: 1s, for: 1s, inject: \
             {{kill: {{nodes: one}}}}}}\n  - {{at: 4s, for: 1s, inject: {{pause: {{nodes: one}}}}}}\nrecover: \
             2s\nchecks: [{checks}]\n",
            www.display()
        ),
    );
}

fn busybox() -> bool {
    let there = std::process::Command::new("busybox").arg("true").output().is_ok();
    assert!(there || std::env::var("CI").as_deref() != Ok("true"), "CI must have busybox");
    if !there {
        println!("skipped: no busybox, whose httpd is drilled (Debian: busybox-static)");
    }
    there
}

#[test]
fn web_servers_are_drilled_and_judged_by_what_was_answered() {
    if !busybox() {
        return;
    }
    let home = Home::new();
    let server = "busybox, httpd, -f, -p, '{listen.web}', -h";
    web(&home, server, "{availability: {at_least: 80%}}, {recovery: {within: 5s}}");
    home.at_work("run s.yaml -v").expect(0, &["fault 1 kill: healed", "PASS  web"]);
    // A third of the servers was away: some of their clients noticed.
    std::fs::remove_dir_all(home.path("reports")).unwrap();
    web(&home, server, "{availability: {at_least: 100%}}");
    home.at_work("run s.yaml").expect(1, &["FAIL  web", "availability"]);
    // Nothing that these clients do could judge data.
    web(&home, server, "linearizable");
    home.run("plan s.yaml").expect(2, &["cannot judge a workload of model `requests`"]);
    let wrong =
        home.read("s.yaml").replace("client: http,", "client: {http: {url: 'https://x/'}},");
    home.write("s.yaml", &wrong);
    home.run("plan s.yaml").expect(2, &["s.yaml:3:", "expected `http://HOST[:PORT]/PATH`"]);
}
