//! What is read, and what is told of what cannot be.

use super::*;
use crate::check::objects::models::{
    Access, ContainerCall, CounterCall, MutexCall, SetCall, TextCall,
};
use crate::check::objects::{Answer, Budget, STEPS};

fn all() -> Budget {
    Budget::of_steps(STEPS)
}

fn good(text: &str) -> Recorded {
    read(text.as_bytes(), None).unwrap_or_else(|why| panic!("{why} in {text}"))
}

fn told(text: &str) -> String {
    read(text.as_bytes(), None).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn calls_and_returns_are_a_stack() {
    let text = "# @object atomic-stack\n[1] call push(c)\n[2] call pop\n  [1] return\n[2] return c\n\
                [3] call pop()\n[3] return empty\n[4] call push 7\n[5] call pop(7)\n[5] return\n\
                [6] call pop\n[7] call peek(c)";
    let read = good(text);
    let History::Stack(ops) = &read.history else { panic!("{read:?}") };
    assert_eq!(ops[0].call, ContainerCall::Put(i64::MIN));
    assert_eq!(ops[1].call, ContainerCall::Take(Found::Value(i64::MIN)));
    assert_eq!((ops[1].invoked, ops[1].returned, read.sources[1].line), (3, Some(5), 3));
    assert_eq!(ops[2].call, ContainerCall::Take(Found::Nothing));
    assert_eq!((ops[3].call, ops[3].returned), (ContainerCall::Put(7), None));
    assert_eq!(ops[4].call, ContainerCall::Take(Found::Value(7)));
    assert_eq!((ops[5].call, ops[5].returned), (ContainerCall::Take(Found::Unknown), None));
    assert_eq!(ops[6].call, ContainerCall::Peek(Found::Value(i64::MIN)));
    assert_eq!(read.history.judge(&mut all()), Answer::Yes);
    assert!(matches!(good("[1] call poll\n[1] return 3").history, History::Priority(..)));
}

#[test]
fn mistakes_in_calls_are_told_with_their_line() {
    assert_eq!(told("[1] call pop\n[1] call pop"), "2: 1 calls before its last call has returned");
    assert_eq!(told("[1] call pop\n[2] return"), "2: 2 returns from what it never called");
    assert_eq!(
        told("[1] call pop\n[1] return 2\n[1] return 2"),
        "3: 1 returns from what it never called"
    );
    assert_eq!(told("[1] call push"), "1: `push` without what it puts");
    assert_eq!(
        told("[1] call pop(1)\n[1] return 2"),
        "2: it returns something else than its call says"
    );
    assert!(told("[1] call sing").starts_with("1: unknown call `sing`; known: push"));
    assert!(told("# @object atomic-cow\n[1] call pop").starts_with("1: `atomic-cow` is none"));
    assert!(told("[1] call pop\nonce").starts_with("2: expected `[NUMBER] call NAME`"));
    let long = format!("[1] call pop\n[1] return {}", "x".repeat(2 << 20));
    assert_eq!(told(&long), "2: a line of more than 1048576 bytes");
}

#[test]
fn intervals_are_read_in_each_way_of_writing() {
    let fast = good("# priorityqueue\ninsert 2 1 5\npeek -1 2 4\npoll 2 6 7\n");
    let History::Priority(queue, ops) = &fast.history else { panic!("{fast:?}") };
    assert!(!queue.smallest_first && ops[1].call == ContainerCall::Peek(Found::Nothing));
    assert_eq!((ops[0].invoked, ops[0].returned, fast.sources[2].line), (1, Some(5), 4));
    let fpt = good("# stack\n3 1 5 PUSH 7\n4 2 9 PEEK -1");
    let older = good("# stack\n3 push 7 1 5\n4 peek -1 2 9");
    for read in [fpt, older] {
        let History::Stack(ops) = &read.history else { panic!("{read:?}") };
        assert_eq!((ops[0].call, ops[0].returned), (ContainerCall::Put(7), Some(5)));
        assert_eq!((ops[1].invoked, read.sources[1].process), (2, 4));
    }
    let judged = |text: &str| good(text).history.judge(&mut all());
    assert_eq!(judged("# semaphore\n0 0 1 INCR 1\n0 2 3 DECR 1\n0 4 5 DECR 1"), Answer::No(2));
    assert_eq!(judged("# set\n0 0 1 INSERT 3 1\n0 2 3 INSERT 3 1"), Answer::No(1));
    assert_eq!(
        judged("# rmw\n0 0 9 READ_MODIFY_WRITE 1 2\n1 0 9 READ_MODIFY_WRITE 0 1"),
        Answer::Yes
    );
}

#[test]
fn mistakes_in_intervals_are_told_with_their_line() {
    assert_eq!(told("# stack\npush 1 7 3"), "2: it returns at 3, before its call at 7");
    assert_eq!(told("# stack\n\npush x 7 9"), "3: `x` is no whole number");
    assert_eq!(told("# stack\n0 1 2 PUSH -1"), "2: -1 cannot be put in: it stands for nothing");
    assert!(told("# stack\n0 1 2 POLL 1").starts_with("2: unknown call `poll`"));
    assert!(told("# set\n0 1 2 INSERT 1 2").starts_with("2: unknown call `insert`, or not"));
    assert_eq!(told("# stack\n# set\n"), "2: the object is named a second time");
    assert!(told("# stack\n7").starts_with("2: expected a client"));
    assert!(told("# stack\npush 1 -3 9").starts_with("2: `-3` is no number"));
    let unnamed = read("push 1 2 3".as_bytes(), Some(Format::Intervals)).unwrap_err();
    assert!(unnamed.to_string().starts_with("1: expected `# OBJECT` first"));
}

#[test]
fn stores_are_read_and_judged_key_by_key() {
    let event = |process: u64, kind: &str, f: &str, key: &str, value: &str| {
        format!("{{:process {process}, :type :{kind}, :f :{f}, :key \"{key}\", :value {value}}}\n")
    };
    let text = event(0, "invoke", "put", "a", "\"x\"")
        + &event(1, "invoke", "append", "a", "\"y\"")
        + &event(0, "ok", "put", "a", "\"x\"")
        + &event(0, "invoke", "get", "a", "nil")
        + &event(0, "ok", "get", "a", "\"xy\"")
        + &event(2, "invoke", "get", "b", "nil")
        + &event(2, "ok", "get", "b", "\"\"");
    let read = good(&text);
    let History::Store(ops) = &read.history else { panic!("{read:?}") };
    assert_eq!(ops[1].call, ("a".into(), TextCall::Append("y".into())));
    assert_eq!((ops[1].returned, read.sources[2].line), (None, 4));
    assert_eq!(read.history.judge(&mut all()), Answer::Yes);
    let broken = text.replace("\"xy\"", "\"yx\"");
    let read = good(&broken);
    assert_eq!(read.history.judge(&mut all()), Answer::No(2));
    let evidence = read.evidence(2, all()).lines;
    assert_eq!(
        evidence[0],
        "key \"a\": 3 operations that no order explains, out of 3; 1 had returned before, which \
         some order explains:"
    );
    assert_eq!(evidence[2], "line 2, process 1, 2 to ?: Append(\"y\")");
    let twice = event(0, "invoke", "get", "a", "nil").repeat(2);
    assert_eq!(told(&twice), "2: process 0 invokes before its operation of line 1 has ended");
    assert_eq!(
        told(&event(3, "ok", "get", "a", "nil")),
        "1: process 3 ends an operation that it never invoked"
    );
    assert_eq!(
        told(&event(0, "invoke", "sing", "a", "nil")),
        "1: unknown :f `sing`; known: get, put, append"
    );
    assert_eq!(told(&event(0, "invoke", "put", "a", "nil")), "1: `put` without :value");
}

#[test]
fn a_name_may_look_like_the_number_of_one() {
    let name = "x-9223372036854775808";
    let text = format!("[1] call push({name})\n[1] return\n[2] call pop\n[2] return empty\n");
    let read = good(&text);
    let Answer::No(at) = read.history.judge(&mut all()) else { panic!("{read:?}") };
    let told = read.evidence(at, all()).lines.join("\n");
    assert!(told.contains(&format!("Put({name})")), "{told}");
}

#[test]
fn jepsens_histories_tell_what_they_are_of() {
    let event = |process: u64, kind: &str, f: &str, value: &str| {
        format!("{{:process {process}, :type :{kind}, :f :{f}, :value {value}}}\n")
    };
    let both = |process, f: &str, call: &str, done: &str| {
        event(process, "invoke", f, call) + &event(process, "ok", f, done)
    };
    let lock = both(0, "acquire", "nil", "nil")
        + &event(1, "invoke", "acquire", "nil")
        + &event(1, "fail", "acquire", "nil")
        + &event(2, "invoke", "release", "nil")
        + &event(2, "info", "release", "nil");
    let History::Mutex(ops) = good(&lock).history else { panic!("{lock}") };
    assert_eq!((ops.len(), ops[1].call, ops[1].returned), (2, MutexCall::Release, None));
    let set = both(0, "add", "3", "3") + &both(1, "read", "nil", "[3 2 3]");
    let History::Set(ops) = good(&format!("[{set}]")).history else { panic!("{set}") };
    assert_eq!(ops[1].call, SetCall::All(vec![2, 3, 3]));
    // What holds an element twice is no set.
    let adds = both(0, "add", "3", "3") + &both(0, "add", "2", "2");
    let read =
        |found| good(&(adds.clone() + &both(1, "read", "nil", found))).history.judge(&mut all());
    assert_eq!(read("[3 2]"), Answer::Yes);
    assert!(matches!(read("[3 2 3]"), Answer::No(_)));
    let counter = both(0, "add", "3", "3") + &both(1, "read", "nil", "3");
    let History::Counter(_, ops) = good(&counter).history else { panic!("{counter}") };
    assert_eq!(ops[1].call, CounterCall::Read(3));
    let txn = both(0, "txn", "[[:w 1 2] [:r 3 nil]]", "[[:w 1 2] [:r 3 nil]]")
        + &event(1, "invoke", "txn", "[[:read 1 nil] [:write 2 5]]");
    let History::Registers(_, ops) = good(&txn).history else { panic!("{txn}") };
    assert_eq!(ops[0].call, [Access::Write(1, 2), Access::Read(3, None)]);
    assert_eq!(ops[1].call, [Access::Write(2, 5)]);
    let maps = both(0, "write", "{1 2, 3 4}", "{1 2, 3 4}") + &both(0, "read", "nil", "{1 2}");
    assert_eq!(good(&maps).history.judge(&mut all()), Answer::Yes);
    let json =
        r#"[{"type":"invoke","f":"acquire","process":1},{"type":"ok","f":"acquire","process":1}]"#;
    assert!(matches!(good(json).history, History::Mutex(_)));
}

#[test]
fn mistakes_in_jepsens_histories_are_told_with_their_line() {
    let invoke = "{:process 0, :type :invoke, :f :acquire, :index 5}\n";
    assert_eq!(told(&invoke.repeat(2)), "2: its :index is 5, that of the event before it 5");
    assert_eq!(told(&format!("{invoke}{{:type :ok}}")), "2: an event without :process");
    assert_eq!(
        told(&format!("{invoke}{{:type :ok, :process 0, :f :release}}")),
        "2: process 0 ends `release`, but invoked `acquire`"
    );
    assert_eq!(told(&format!("[{invoke}")), "2: it ends before `]`");
    assert!(told(&format!("{invoke}]")).starts_with("2: a bracket"));
    assert!(told("{:a 1}").starts_with("1: expected a map with :type"));
    assert!(told("{:process 0, :type :invoke, :f :sing}").starts_with("1: no lock"));
    assert!(told("once upon a time").starts_with("1: neither calls"));
}

#[test]
fn no_text_makes_it_panic() {
    let pieces = [
        "[1] ",
        "call ",
        "push(1)",
        "pop",
        "return ",
        "\n",
        "7 ",
        "-1 ",
        "# stack\n",
        "# set\n",
        "# rmw\n",
        "# semaphore\n",
        "insert ",
        "decr ",
        "99999999999999999999 ",
        "{",
        "}",
        "[",
        "]",
        ":process 0 ",
        ":type ",
        ":invoke ",
        ":ok ",
        ":f ",
        ":add ",
        ":read ",
        ":txn ",
        ":key \"a\" ",
        ":value ",
        "nil ",
        "{1 2} ",
        "[[:r 1 2]] ",
        "\"",
        "\\",
        "é",
        ":acquire ",
        ":put ",
    ];
    let mut state = 7_u64;
    for _ in 0..100_000 {
        let mut text = String::new();
        for _ in 0..14 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text += pieces[(state >> 33) as usize % pieces.len()];
        }
        let formats = [Format::Calls, Format::Intervals, Format::Store, Format::Jepsen];
        for format in formats.map(Some).into_iter().chain([None]) {
            if let Ok(read) = read(text.as_bytes(), format)
                && let Answer::No(at) = read.history.judge(&mut Budget::of_steps(10_000))
            {
                assert!(!read.evidence(at, Budget::of_steps(10_000)).lines.is_empty());
            }
        }
    }
}
