//! The client against scripted nodes.

use super::*;
use crate::history::Reply;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;

fn status(name: &str, leader: Option<&str>, term: u64) -> Status {
    let (leader, role) = (leader.map(str::to_owned), "follower".to_owned());
    Status { name: name.into(), role, leader, term, applied: None, last_log: None }
}

#[test]
fn the_leader_is_the_one_of_the_highest_term() {
    let cut_off = status("n1", Some("n1"), 3);
    let others = [status("n2", Some("n2"), 4), status("n3", Some("n2"), 4)];
    let all = [&others[..], &[cut_off.clone(), cut_off]].concat();
    assert_eq!(named_leader(&all), Some("n2".into()));
}

#[test]
fn a_candidate_of_a_higher_term_hides_no_leader_and_nobody_known_is_nobody() {
    let statuses = [status("n1", Some("n1"), 3), status("n2", None, 9)];
    assert_eq!(named_leader(&statuses), Some("n1".into()));
    assert_eq!(named_leader(&[status("n1", None, 1)]), None);
}

/// A node that answers each request by its script, and hands back what it was asked. `None`:
/// silence, for good.
async fn node(script: Vec<Option<&'static str>>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = tokio::spawn(async move {
        let (mut asked, mut script, mut held) = (vec![], script.into_iter(), vec![]);
        while script.len() > 0 {
            let (stream, _) = listener.accept().await.unwrap();
            let (mut stream, mut line) = (BufReader::new(stream), String::new());
            while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                asked.push(std::mem::take(&mut line));
                match script.next().flatten() {
                    Some(answer) => {
                        let answer = format!("{answer}\n");
                        stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
                    }
                    None => break,
                }
                if script.len() == 0 {
                    break;
                }
            }
            held.push(stream); // open, and silent
        }
        asked
    });
    (address, served)
}

fn driver(addresses: &[String], timeout: u64) -> StoreDriver {
    let names = addresses.iter().zip(1..).map(|(a, n)| (NodeId::new(format!("n{n}")), a.clone()));
    StoreDriver::new(&names.collect(), Duration::from_millis(timeout), 7, None)
}

const WRITE: Call = Call::Write { key: 1, value: 1 };

#[tokio::test]
async fn a_request_that_got_no_answer_is_asked_elsewhere_under_the_same_sequence() {
    let (silent, first) = node(vec![None]).await;
    let (lively, second) = node(vec![Some(r#"{"ok":"done"}"#)]).await;
    let mut client = driver(&[silent, lively], 6000).client(0).unwrap();
    assert_eq!(client.invoke(&WRITE).await, Outcome::Ok(Reply::Done));
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first, second);
    assert!(first[0].contains(r#""client":30064771072,"seq":1"#), "{first:?}");
    assert_eq!(client.node(&WRITE), Some("n2".into()), "it stays where it was answered");
}

#[tokio::test]
async fn a_redirect_is_followed_and_remembered() {
    let (follower, _) = node(vec![Some(r#"{"not-leader":{"leader":"n2"}}"#)]).await;
    let (leader, asked) = node(vec![Some(r#"{"ok":"done"}"#), Some(r#"{"ok":"done"}"#)]).await;
    let mut client = driver(&[follower, leader], 6000).client(0).unwrap();
    assert_eq!(client.invoke(&WRITE).await, Outcome::Ok(Reply::Done));
    assert_eq!(client.invoke(&WRITE).await, Outcome::Ok(Reply::Done));
    assert_eq!(asked.await.unwrap().len(), 2);
}

#[tokio::test]
async fn writes_that_are_sent_elsewhere_leave_the_reads_where_they_are_answered() {
    let redirect = r#"{"not-leader":{"leader":"n2"}}"#;
    let (own, asked) = node(vec![Some(redirect), Some(r#"{"ok":{"value":7}}"#)]).await;
    let (leader, _) = node(vec![Some(r#"{"ok":"done"}"#)]).await;
    let mut client = driver(&[own, leader], 6000).client(0).unwrap();
    let read = Call::Read { key: 1 };
    assert_eq!(client.invoke(&WRITE).await, Outcome::Ok(Reply::Done));
    assert_eq!(client.invoke(&read).await, Outcome::Ok(Reply::Value(Some(7))));
    let at = [&WRITE, &read].map(|call| client.node(call).unwrap().to_string());
    assert_eq!(at, ["n2", "n1"]);
    assert_eq!(asked.await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_unknown_and_says_to_whom() {
    let (silent, _) = node(vec![None]).await;
    let mut client = driver(&[silent], 300).client(0).unwrap();
    let Outcome::Unknown(why) = client.invoke(&WRITE).await else { panic!("it was sent") };
    assert!(why.starts_with("time-out after 300ms; sent to n1"), "{why}");
}

#[tokio::test]
async fn what_nobody_accepted_has_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut client = driver(&[nobody], 200).client(5).unwrap();
    let Outcome::Fail(why) = client.invoke(&WRITE).await else { panic!("it was never sent") };
    assert!(why.starts_with("never sent within 200ms: n1: "), "{why}");
}

#[tokio::test]
async fn a_refusal_of_the_store_is_a_failure_in_its_words() {
    let (node, _) = node(vec![Some(r#"{"fail":"account 0 has 1, less than 2"}"#)]).await;
    let outcome = driver(&[node], 6000).client(0).unwrap().invoke(&WRITE).await;
    assert_eq!(outcome, Outcome::Fail("account 0 has 1, less than 2".into()));
}

#[test]
fn a_driver_without_nodes_says_so() {
    assert!(driver(&[], 100).client(0).is_err());
}

#[tokio::test]
async fn a_node_that_moved_is_found_where_it_is() {
    let done = Some(r#"{"ok":"done"}"#);
    let (first, asked) = node(vec![done]).await;
    let book = AddressBook::from_iter([("n1".into(), first)]);
    let driver = StoreDriver::new(&book, Duration::from_secs(6), 7, None);
    let mut client = driver.client(0).unwrap();
    assert_eq!(client.invoke(&WRITE).await, Outcome::Ok(Reply::Done));
    asked.await.unwrap(); // it is there no more
    let local = Some(r#"{"ok":{"value":7}}"#);
    let (second, asked) = node(vec![done, local]).await;
    book.write(&"n1".into(), [("client".to_string(), second)].into());
    assert_eq!(client.invoke(&WRITE).await, Outcome::Ok(Reply::Done));
    drop(client);
    let replica = driver.read_replica(&"n1".into(), &Call::Read { key: 1 }).await;
    assert_eq!(replica, Some(Outcome::Ok(Reply::Value(Some(7)))));
    assert_eq!(asked.await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_node_whose_address_is_anothers_now_is_not_asked_there() {
    let (address, _) = node(vec![Some(r#"{"ok":"done"}"#)]).await;
    let book = AddressBook::from_iter([("n1".into(), address.clone())]);
    let driver = StoreDriver::new(&book, Duration::from_millis(100), 7, None);
    book.write(&"n2".into(), [("client".to_string(), address)].into());
    let outcome = driver.client(0).unwrap().invoke(&WRITE).await;
    assert!(
        matches!(&outcome, Outcome::Fail(why) if why.contains("no address now")),
        "{outcome:?}"
    );
}
