//! The formats.

use super::super::history::{Does, Outcome, Turn, What};
use super::super::read::{Format, read};
use super::super::{Anomaly, Verdict, check};
use super::found;

fn told(text: &str, format: Option<Format>) -> String {
    read(text.as_bytes(), format).unwrap_err().to_string()
}

#[test]
fn jepsens_operations_are_read_as_written() {
    let text = "[{:type :invoke, :f :subscribe, :value [3 4], :process 0}
{:type :info, :f :start, :process :nemesis}
{:type :ok, :f :subscribe, :value [3 4], :process 0}
{:type :invoke, :f :txn, :value [[:poll] [:send 3 :a]], :process 0}
{:type :info, :f :txn, :value [[:poll {4 [[2 7] [nil 8]]}] [:send 3 [nil :a]]], :process 0}
{:type :invoke, :f :crash, :value nil, :process 2}
{:type :invoke, :f :debug-topic-partitions, :value [3], :process 1}
{:type :ok, :f :debug-topic-partitions, :value {:partitions {}}, :process 1}
{:type :invoke, :f :send, :value [[:send 4 9]], :process 1}]";
    let history = read(text.as_bytes(), None).unwrap();
    let all: Vec<_> =
        history.operations().iter().map(|o| (o.line, o.outcome, o.does, o.returned)).collect();
    let messages = Does::Messages;
    let expected = [
        (3, Outcome::Ok, Does::Turns(Turn::Subscribe), Some(2)),
        (5, Outcome::Info, messages, None),
        (6, Outcome::Info, Does::Turns(Turn::Restart), None),
        (8, Outcome::Ok, messages, Some(7)),
        (9, Outcome::Info, messages, None),
    ];
    assert_eq!(all, expected);
    let acts = history.acts(&history.operations()[1]);
    let acts: Vec<String> = acts
        .iter()
        .map(|a| {
            let (key, value) = (history.key(a.key), history.value(a.value));
            format!("{:?} {key} {value} {:?}", a.what, a.offset)
        })
        .collect();
    assert_eq!(acts, ["Read 4 7 Some(2)", "Read 4 8 None", "Send 3 a None"]);
    assert_eq!(history.keys(), 2);
}

#[test]
fn json_of_the_same_shape_is_the_same() {
    let json = r#"[{"type":"invoke","f":"send","value":[["send",3,1]],"process":0},
{"type":"ok","f":"send","value":[["send",3,[0,1]]],"process":0},
{"type":"invoke","f":"poll","value":[["poll"]],"process":1},
{"type":"ok","f":"poll","value":[["poll",{"3":[[0,1]]}]],"process":1}]"#;
    let whole = check(&read(json.as_bytes(), None).unwrap());
    assert_eq!((&whole.verdict, whole.read), (&Verdict::Valid, 1));
    let lines = json.trim_matches(['[', ']']).replace("},\n", "}\n");
    assert_eq!(check(&read(lines.as_bytes(), None).unwrap()), whole);
}

#[test]
fn json_lines_are_read_in_the_order_of_their_times() {
    let text = r#"{"c":1,"k":"a","f":"append","v":2,"off":0,"t0":30,"t1":40,"s":"ok"}
{"c":0,"k":"a","f":"append","v":1,"off":1,"t0":10,"t1":20,"s":"ok"}

{"c":2,"k":"a","f":"read","from":0,"vs":[2,1],"t0":50,"t1":60,"s":"ok"}
{"c":2,"k":"a","f":"read","from":0,"vs":[2],"t0":70,"t1":80,"s":"ok"}
{"c":3,"k":"a","f":"append","v":"x","t0":70,"t1":null,"s":"info"}"#;
    let history = read(text.as_bytes(), None).unwrap();
    assert_eq!(history.operations()[0].line, 2);
    // Who asks for an offset may go back.
    assert_eq!(found(&check(&history)), [(Anomaly::RealtimeReorder, false, 1)]);
    assert_eq!(
        history.acts(&history.operations()[2]).iter().filter(|a| a.what == What::Read).count(),
        2
    );
    let polls = r#"{"c":0,"f":"append","v":1,"off":5,"t0":1,"t1":2,"s":"ok"}
{"c":1,"f":"poll","vs":[[5,1]],"t0":3,"t1":4,"s":"ok"}
{"c":1,"f":"poll","vs":[[5,1]],"t0":5,"t1":6,"s":"ok"}"#;
    let polls = check(&read(polls.as_bytes(), None).unwrap());
    assert_eq!(found(&polls), [(Anomaly::NonmonotonicPoll, false, 1)]);
}

#[test]
fn what_contradicts_itself_is_told_with_its_line() {
    let begun = "{:type :invoke :f :send :process 7 :value [[:send 1 2]]}\n";
    let jepsen = Some(Format::Jepsen);
    assert_eq!(
        told(&format!("{begun}\n{begun}"), jepsen),
        "3: process 7 invokes before its operation of line 1 has ended"
    );
    let ok = "{:type :ok :f :send :process 7 :value [[:send 1 [x 2]]]}\n";
    assert_eq!(told(ok, jepsen), "1: process 7 ends an operation that it never invoked");
    assert_eq!(told(&format!("{begun}{ok}"), jepsen), "2: an offset that is no number");
    assert!(told(&begun.replace(":send ", ":pop "), jepsen).contains("unknown :f :pop"));
    assert!(told(&begun.replace("[:send 1 2]", "[:send 1]"), jepsen).contains("[:send log"));
    assert!(told("{:f :send}", jepsen).contains(":process"));
    assert!(told("{:process 1}", jepsen).contains(":type"));
    let line = r#"{"c":0,"f":"append","v":1,"off":5,"t0":1,"t1":2,"s":"ok"}"#;
    let lines = |from: &str, to: &str| {
        told(&format!("{line}\n{}", line.replace(from, to)), Some(Format::JsonLines))
    };
    assert_eq!(lines("\"ok\"", "\"lost\""), "2: `s` is \"lost\": expected ok, fail or info");
    assert!(lines("\"t1\":2", "\"t1\":0").starts_with("2: it ends"));
    assert!(lines("append", "push").contains("known: append, read, poll"));
    assert!(lines("\"v\":1,", "").contains("without its value"));
    assert!(lines("append", "read").contains("without its first offset"));
    assert!(lines("append\"", "read\",\"from\":0,\"vs\":[[0,1]]").contains("a read of pairs"));
    assert!(lines("append\"", "poll\",\"vs\":[1]").contains("a poll without offsets"));
    assert!(lines("\"c\"", "\"d\"").starts_with("2: unknown field"));
}

#[test]
fn no_text_makes_a_reader_panic() {
    let pieces = [
        "{:type :invoke ",
        ":ok ",
        ":f :txn ",
        ":process 1 ",
        ":value ",
        "[[:poll {1 [[0 1]]}]]",
        "[[:send 1 ",
        "2]]",
        "}",
        "[",
        "]",
        "nil ",
        "\"c\":1,",
        "\"f\":\"read\",",
        "\n",
        "{",
        "-1 ",
        ":type :ok ",
    ];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..14 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text += pieces[(state >> 33) as usize % pieces.len()];
        }
        for format in [None, Some(Format::Jepsen), Some(Format::JsonLines)] {
            let _ = read(text.as_bytes(), format).map(|history| check(&history));
        }
    }
}
