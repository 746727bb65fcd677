//! What each format reads as, and what is said of texts that are wrong.

use super::*;

fn steps(all: &Transactions, txn: usize) -> String {
    let own = all.steps(&all.all()[txn]).map(|(key, action)| {
        let key = all.key(key);
        match action {
            Action::Append(v) => format!("a{key}={}", all.value(v)),
            Action::Write(v) => format!("w{key}={}", all.value(v)),
            Action::Asked => format!("r{key}?"),
            Action::Nil => format!("r{key}=nil"),
            Action::Value(v) => format!("r{key}={}", all.value(v)),
            Action::List(v) => format!("r{key}={v:?}"),
        }
    });
    own.collect::<Vec<_>>().join(" ")
}

fn read(text: &str) -> Transactions {
    Transactions::read(text.as_bytes(), None).unwrap()
}

fn told(text: &str) -> String {
    Transactions::read(text.as_bytes(), None).unwrap_err().to_string()
}

#[test]
fn json_lines_are_transactions() {
    let text = r#"{"p":4,"t0":5,"t1":9,"s":"ok","txn":[["append",1,2],["r",1,[2,-3]],["r",7,null]]}
{"p":5,"t0":6,"t1":null,"s":"info","txn":[["w",1,7],["r",1,null]]}

 { "txn" : [ ["r", "x", 3] ], "s" : "ok", "t1" : 8, "more": {"a": [1]}, "t0" : 7, "p" : 6 }
{"p":4,"t0":10,"t1":12,"s":"fail","txn":[["r",1,[1]]]}"#;
    let all = read(text);
    assert_eq!(all.len(), 4);
    assert_eq!(steps(&all, 0), "a1=2 r1=[2, -3] r7=nil");
    assert_eq!(steps(&all, 1), "w1=7 r1?");
    assert_eq!(steps(&all, 2), "r\"x\"=3");
    assert_eq!(steps(&all, 3), "r1?");
    let of = |i: usize| (all.all()[i].process, all.all()[i].invoked, all.all()[i].returned);
    assert_eq!([of(0), of(1), of(2)], [(4, 5, Some(9)), (5, 6, None), (6, 7, Some(8))]);
    assert_eq!(all.all()[2].line, 4);
    assert_eq!(all.all()[1].outcome, Outcome::Info);
}

#[test]
fn events_of_jepsen_are_paired() {
    let edn = "; a comment
[{:type :invoke, :process 0, :f :txn, :value [[:append :x 1] [:r :x nil]], :index 0}
 {:type :invoke, :process 1, :f :txn, :value ([:append 5 2]), :index 1}
 {:process :nemesis, :type :info, :f :start, :value {:a [1 2]}, :index 2}
 {:type :nil-safe #_{:a 1} :type :ok :process 0, :value [[:append :x 1] [:r :x [1]]], :index 3}
 {:type :info, :process 1, :value [[:append 5 2]], :index 4, :error [:timeout]}
 #jepsen.history.Op{:type :invoke, :process 2, :value [[:r \"k\" nil]], :index 5}]";
    let edn = edn.replace(":type :nil-safe ", "");
    let all = read(&edn);
    assert_eq!(all.len(), 3);
    assert_eq!(steps(&all, 0), "a:x=1 r:x=[1]");
    assert_eq!(steps(&all, 1), "a5=2");
    assert_eq!(steps(&all, 2), "r\"k\"?");
    let ends: Vec<_> = all.all().iter().map(|t| (t.outcome, t.invoked, t.returned)).collect();
    assert_eq!(
        ends,
        [(Outcome::Ok, 0, Some(2)), (Outcome::Info, 1, None), (Outcome::Info, 4, None)]
    );
    let json = r#"[{"type":"invoke","f":"txn","value":[["w","x",2]],"process":0,"index":1},
{"type":"ok","f":"txn","value":[["w","x",2]],"process":0,"index":2}]"#;
    assert_eq!(steps(&read(json), 0), "w\"x\"=2");
    // One process, two at once: what ends goes to what is alike.
    let twice = "{:type :invoke :process 0 :value [[:r :x nil]]}
{:type :invoke :process 0 :value [[:w :x :high]]}
{:type :ok :process 0 :value [[:w :x :high]]}
{:type :ok :process 0 :value [[:r :x :high]]}";
    let all = read(twice);
    assert_eq!((steps(&all, 0), steps(&all, 1)), ("r:x=:high".into(), "w:x=:high".into()));
    assert_eq!(all.all()[0].returned, Some(3));
    // Nothing but ends.
    let ends =
        "{:type :ok :process 0 :value [[:w :x 1]]} {:type :fail :process 0 :value [[:r :x]]}";
    let all = read(ends);
    assert_eq!((steps(&all, 0), steps(&all, 1)), ("w:x=1".into(), "r:x?".into()));
}

#[test]
fn sessions_and_calls_are_read_without_instants() {
    let all = read("w 0 0\nw 1 1\n=====\nr 0 0\n-----\nr 2 0\nr 1 1\n=====\n");
    assert_eq!(
        [steps(&all, 0), steps(&all, 1), steps(&all, 2)],
        ["w0=0 w1=1", "r0=0", "r2=nil r1=1"]
    );
    assert_eq!(all.all().iter().map(|t| t.process).collect::<Vec<_>>(), [0, 1, 1]);
    assert!(!all.timed());
    let all = read("r(15,0,0,0)\nw(7,1,0,0)\nr(7,1,0,1)\nr(7,1,3,2)\n");
    assert_eq!([steps(&all, 0), steps(&all, 1), steps(&all, 2)], ["r15=nil w7=1", "r7=1", "r7=1"]);
    assert_eq!(all.all().iter().map(|t| t.process).collect::<Vec<_>>(), [0, 0, 3]);
}

#[test]
fn mistakes_are_told_with_their_lines() {
    let fine = r#"{"p":4,"t0":5,"t1":9,"s":"ok","txn":[["w",1,2]]}"#;
    let second = |line: &str| told(&format!("{fine}\n{line}\n"));
    let with = |from: &str, to: &str| second(&fine.replace(from, to));
    assert_eq!(with("\"t1\":9", "\"t1\":3"), "2: it returns at 3, before its call at 5");
    assert!(with("\"t1\":9", "\"t1\":null").contains("without an end"));
    assert!(with("\"ok\"", "\"well\"").starts_with("2: unknown `s`"));
    assert!(with("\"w\"", "\"pop\"").starts_with("2: unknown micro-operation `pop`"));
    assert!(with("1,2", "1,[[2]]").starts_with("2: `w` without a value"));
    assert!(with(",\"s\":\"ok\"", "").contains("without `p`, `t0` or `s`"));
    assert!(second(&fine[..30]).contains("it ends within"));
    assert!(
        second(&format!("{{\"a\":{}", "[".repeat(100))).contains("2: nested more than 64 deep")
    );
    let begun = "{:type :invoke :process 7 :value [[:w 1 1]]}\n";
    let ok = "{:type :ok :process 7 :value [[:w 1 1]]}\n";
    let never = "process 7 ends a transaction in line 3 that it never invoked";
    assert_eq!(told(&format!("{begun}{ok}{ok}")), format!("3: {never}"));
    assert_eq!(told(&format!("{ok}\n{begun}")), format!("3: {}", never.replace("3", "1")));
    let other = ok.replace("[:w 1 1]", "[:w 1 2]");
    assert_eq!(told(&format!("{begun}{other}")), format!("2: {}", never.replace("3", "2")));
    assert!(told(&format!("[{begun}")).contains("it ends before `]`"));
    let at = |index| begun.replace(":type", &format!(":index {index} :type"));
    assert!(told(&format!("{}{}", at(4), at(3))).starts_with("2: index 3 after 4"));
    let timed = |text: &str, time| text.replace(":type", &format!(":time {time} :type"));
    let back = "2: it returns at 4, before its call at 5";
    assert_eq!(told(&format!("{}{}", timed(begun, 5), timed(ok, 4))), back);
    let nobody = "{:type :ok :value [[:r 1 2]]}\n";
    assert_eq!(told(&format!("{begun}{nobody}")), "2: an event without :process");
    let late = "2: an event with :process, after one without";
    assert_eq!(told(&format!("{nobody}{begun}")), late);
    let alone = Transactions::read(nobody.repeat(2).as_bytes(), None).unwrap();
    assert_eq!(alone.all().iter().map(|txn| txn.process).collect::<Vec<_>>(), [0, 0]);
    assert!(told("{:f :txn :process 1 :value []}").contains("no event"));
    assert!(told("{:type :invoke :process 1 :value [[:r 1 [").contains("it ends within a list"));
    assert!(told("w 0 1\nw 0\n").starts_with("2: expected `w KEY VALUE`"));
    assert!(
        told("w(0,1,0,0)\nw(0,2,0,1)\nw(0,3,0,0)").starts_with("3: transaction 0 of session 0")
    );
    assert!(told("once upon a time").starts_with("1: neither"));
    assert!(told("").starts_with("1: neither"));
    let tags = format!("{{:type {}", "#a ".repeat(1_000_000));
    assert!(told(&tags).contains("it ends before a value"), "{}", told(&tags));
    let nested = format!("{{:type {}", "#_[".repeat(1_000_000));
    assert!(told(&nested).contains("nested more than 64 deep"));
    let left = format!("{{:type {}", "#_ ".repeat(1_000_000));
    assert!(told(&left).contains("`#_` before a tag"));
}

mod fuzz {
    use proptest::prelude::*;

    use super::*;

    const TEXTS: [&str; 4] = [
        r#"{"p":4,"t0":5,"t1":9,"s":"ok","txn":[["append",1,2],["r",1,[2,-3]],["r",7,null]]}"#,
        "[{:type :invoke, :process 0, :value [[:append :x 1] [:r :x nil]], :index 0}
{:type :ok :process 0, :value [[:append :x 1] [:r :x [1 2]]], :index 3}]",
        "w 0 0\nw 1 1\n=====\nr 0 0\n-----\nr 2 0\nr 1 1\n=====\n",
        "r(15,0,0,0)\nw(7,1,0,0)\nr(7,1,0,1)\n",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None,
            ..ProptestConfig::default() })]

        #[test]
        fn no_text_makes_it_panic(
            which in 0_usize..4,
            changes in proptest::collection::vec((0_usize..200, any::<u8>(), any::<bool>()), 0..6),
            format in 0_usize..5,
        ) {
            let mut text = TEXTS[which].as_bytes().to_vec();
            for (at, byte, removed) in changes {
                let at = at % text.len().max(1);
                let likely = b"[]{}()\"\\:#;_-=wr, \n0123nil";
                let byte = if byte < 128 { likely[byte as usize % likely.len()] } else { byte };
                if removed {
                    text.truncate(at);
                } else if at < text.len() {
                    text[at] = byte;
                }
            }
            let formats =
                [None, Some(Format::JsonLines), Some(Format::Jepsen), Some(Format::Sessions),
                 Some(Format::Calls)];
            let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
            match Transactions::read(&text, formats[format]) {
                Ok(all) => {
                    prop_assert!(all.len() <= text.len());
                    (0..all.len()).for_each(|txn| { steps(&all, txn); });
                }
                Err(wrong) => prop_assert!((1..=lines).contains(&wrong.line), "{wrong}"),
            }
        }
    }
}
