//! Histories that contradict themselves, or say something else than a history: what is told of each, to the word.

use firedrill::check::objects;
use firedrill::history::{foreign, transactions};

use crate::reading::{Came, Way, read};

/// A format, how it is read, and texts with what is told of each.
struct Table(&'static str, Way, &'static [(&'static str, &'static str)]);

const TABLES: &[Table] = &[
    Table("JSON lines", Way::Operations(Some(foreign::Format::JsonLines)), JSON_LINES),
    Table("Jepsen's EDN", Way::Operations(Some(foreign::Format::Jepsen)), JEPSEN),
    Table("calls of a queue", Way::Operations(Some(foreign::Format::Calls)), CALLS),
    Table(
        "transactions, JSON lines",
        Way::Transactions(Some(transactions::Format::JsonLines)),
        TXN_JSON_LINES,
    ),
    Table(
        "transactions, Jepsen's EDN",
        Way::Transactions(Some(transactions::Format::Jepsen)),
        TXN_JEPSEN,
    ),
    Table("sessions", Way::Transactions(Some(transactions::Format::Sessions)), SESSIONS),
    Table("transactions as calls", Way::Transactions(Some(transactions::Format::Calls)), TXN_CALLS),
    Table("calls of an object", Way::Object(Some(objects::Format::Calls)), OBJECT_CALLS),
    Table("intervals", Way::Object(Some(objects::Format::Intervals)), INTERVALS),
    Table("texts by key", Way::Object(Some(objects::Format::Store)), STORE),
    Table("an object's EDN", Way::Object(Some(objects::Format::Jepsen)), OBJECT_JEPSEN),
    Table("registers, guessed", Way::Operations(None), GUESSED),
    Table("transactions, guessed", Way::Transactions(None), TXN_GUESSED),
    Table("an object, guessed", Way::Object(None), OBJECT_GUESSED),
    Table("a drill", Way::Record, DRILL),
];

#[test]
fn what_contradicts_itself_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let begin = format!("{}:", path.display());
    let mut wrong = vec![];
    for Table(format, way, cases) in TABLES {
        for (text, expected) in *cases {
            // A drill's history has its header first.
            let head =
                if matches!(way, Way::Record) && !text.starts_with('!') { HEADER } else { "" };
            std::fs::write(&path, format!("{head}{}", text.trim_start_matches('!'))).unwrap();
            let told = match read(*way, &path) {
                Came::Read(_) => "it is read".to_string(),
                Came::Wrong { told, .. } | Came::Unreadable(told) => told.replacen(&begin, "", 1),
            };
            if told != *expected {
                wrong.push(format!(
                    "{format}: {text:?}\n  told     {told:?}\n  expected {expected:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const JSON_LINES: &[(&str, &str)] = &[
    (
        "{\"c\":0,\"k\":0,\"f\":\"w\",\"v\":1,\"t0\":10,\"t1\":20,\"s\":\"ok\"}\n{\"c\":0,\"k\":0,\"f\":\"r\",\"v\":1,\"t0\":30,\"t1\":29,\"s\":\"ok\"}\n",
        "2: it returns at 29, before its call at 30",
    ),
    (r#"{"c":0,"f":"r","v":1,"t0":30,"s":"ok"}"#, "1: `ok` without an end (`t1`)"),
    ("\n{\"c\":0,\"f\":\"w\",\"t0\":30,\"t1\":31,\"s\":\"ok\"}", "2: `w` without `v`"),
    (r#"{"c":0,"f":"cas","v":1,"t0":30,"t1":31,"s":"ok"}"#, "1: `cas` without `v2`"),
    (
        r#"{"c":0,"f":"pop","t0":30,"t1":31,"s":"ok"}"#,
        "1: unknown `f`: `pop`; known: r, w, cas, enq, deq",
    ),
    (
        r#"{"c":0,"f":"r","t0":30,"t1":31,"s":"done"}"#,
        "1: unknown `s`: `done`; known: ok, fail, info",
    ),
    (r#"{"f":"r","t0":30,"t1":31,"s":"ok"}"#, "1: missing field `c`, at column 34"),
    (
        r#"{"c":-1,"f":"r","t0":30,"t1":31,"s":"ok"}"#,
        "1: invalid value: integer `-1`, expected u32, at column 7",
    ),
    (
        r#"{"c":0,"f":"r","t0":1e308,"t1":31,"s":"ok"}"#,
        "1: invalid type: floating point `1e+308`, expected u64, at column 25",
    ),
    (r#"{"c":0,"c":1,"f":"r","t0":1,"t1":31,"s":"ok"}"#, "1: duplicate field `c`, at column 10"),
    ("\n\n{\"c\":0,\"f\":", "3: EOF while parsing a value, at column 11"),
    ("[{\"c\":0}]", "1: invalid type: map, expected u32, at column 1"),
    ("{\"c\":0}\u{feff}", "1: missing field `f`, at column 7"),
];

const JEPSEN: &[(&str, &str)] = &[
    (
        "{:type :invoke :f :read :process 7}\n{:type :ok :f :read :value 1 :process 7}\n{:type :ok :f :read :value 2 :process 7}",
        "3: process 7 ends an operation that it never invoked",
    ),
    ("\n{:type :ok :f :read :process 7}", "2: process 7 ends an operation that it never invoked"),
    (
        "{:type :invoke :f :read :process 7}\n\n{:type :invoke :f :read :process 7}",
        "3: process 7 invokes before its operation of line 1 has ended",
    ),
    (
        "{:type :invoke :f :read :process 7 :time 20}\n{:type :ok :f :read :process 7 :time 19}",
        "2: it returns at 19, before its call at 20",
    ),
    (
        "{:type :invoke :f :read :process 7 :index 4}\n{:type :ok :f :read :process 7 :index 3}",
        "2: index 3 after 4: the events are not in their order",
    ),
    ("[{:type :invoke :f :read :process 7}\n", "2: it ends before `]`"),
    ("[{:type :invoke :f :read :process 7}\n)", "2: expected `]`, found `)`"),
    ("{:type :invoke :f :read :process 7}\n]\n", "2: a bracket that opens nowhere"),
    (
        "[{:type :invoke :f :read :process 7}]\n{:type :invoke}",
        "2: something behind the end of the history",
    ),
    (
        "; said\n\n{:type :done}",
        "3: no operation: expected a map with :type :invoke, :ok, :fail or :info",
    ),
    ("{:type :invoke :f :read}", "1: an operation without :process"),
    ("{:type :invoke :f :read :process -7}", "1: a :process that is no number from 0 on"),
    ("{:type :invoke :f :read :process 7", "1: it ends before `}`"),
    ("{:type :invoke :f\n:read :process}", "2: a map with a key that has no value"),
    (
        "{:type :invoke :f \"a\nb\" :process 7}",
        "1: unknown :f :a\\nb; known: read, write, cas, acquire, release, enqueue, dequeue, transfer",
    ),
    ("{:type :invoke :f :cas :value 3 :process 7}", "1: expected [from to] as the value of a :cas"),
    (
        "{:type :invoke :f :write :value [1 2] :process 7}\n{:type :invoke :f :read :value 3 :process 8}",
        "2: expected a pair of a key and a value",
    ),
    (
        "\u{feff}{:type :invoke}",
        "1: no operation: expected a map with :type :invoke, :ok, :fail or :info",
    ),
    (
        "{:type :invoke :f :read :process 7}\n\0",
        "2: no operation: expected a map with :type :invoke, :ok, :fail or :info",
    ),
];

const CALLS: &[(&str, &str)] = &[
    ("[1] call deq\n[1] return 3\n[1] return 3\n", "3: 1 returns from what it never called"),
    ("\n[1] return", "2: 1 returns from what it never called"),
    ("[1] call deq\n# said\n[1] call deq", "3: 1 calls before its last call has returned"),
    ("[1] call deq\n[x] return", "2: expected `[NUMBER] call NAME` or `[NUMBER] return`"),
    ("[4294967296] call deq", "1: expected `[NUMBER] call NAME` or `[NUMBER] return`"),
    ("# @object atomic-stack", "1: a history of `atomic-stack`, which is no queue"),
];

const TXN_JSON_LINES: &[(&str, &str)] = &[
    (
        "\n{\"p\":0,\"t0\":9,\"t1\":8,\"s\":\"ok\",\"txn\":[]}",
        "2: it returns at 8, before its call at 9",
    ),
    (r#"{"p":0,"t0":9,"s":"ok","txn":[]}"#, "1: it has ended, but without an end (`t1`)"),
    (r#"{"p":0,"t0":9,"t1":10,"s":"ok"}"#, "1: a transaction without `txn`"),
    (
        r#"{"p":-1,"t0":9,"t1":10,"s":"ok","txn":[]}"#,
        "1: a transaction without `p`, `t0` or `s`, each from 0 on",
    ),
    (r#"{"p":0,"t0":9,"t1":10,"s":"ok","txn":[],"txn":[]}"#, "1: a `txn` that is none"),
    (
        r#"{"p":0,"t0":9,"t1":10,"s":"done","txn":[]}"#,
        "1: unknown `s`: `done`; known: ok, fail, info",
    ),
    (
        r#"{"p":0,"t0":9,"t1":10,"s":"ok","txn":[["append",1]]}"#,
        "1: `append` without a value that is an atom",
    ),
    (
        r#"{"p":0,"t0":9,"t1":10,"s":"ok","txn":[["pop",1,2]]}"#,
        "1: unknown micro-operation `pop`; known: append, w, r",
    ),
    (
        r#"{"p":0,"t0":9,"t1":10,"s":"ok","txn":[["w",1,2,3]]}"#,
        "1: a micro-operation has three parts: [f key value]",
    ),
    ("{\"p\":0,\n\"t0\":9,\"t1\":10,\"s\":\"ok\",\"txn\":[", "2: it ends within micro-operations"),
    ("7", "1: expected a transaction: {\"p\", \"t0\", \"t1\", \"s\", \"txn\"}"),
];

const TXN_JEPSEN: &[(&str, &str)] = &[
    (
        "{:type :invoke :process 7 :value [[:r 1 nil]]}\n{:type :ok :process 7 :value [[:r 1 nil]]}\n{:type :ok :process 7 :value [[:r 1 nil]]}",
        "3: process 7 ends a transaction in line 3 that it never invoked",
    ),
    (
        "{:type :ok :process 3 :value [[:r 1 nil]]}\n{:type :invoke :process 7 :value [[:r 1 nil]]}",
        "2: process 3 ends a transaction in line 1 that it never invoked",
    ),
    (
        "{:type :invoke :process 7 :value [[:r 1 nil]]}\n{:type :ok :process 7 :value [[:r 2 nil]]}",
        "2: process 7 ends a transaction in line 2 that it never invoked",
    ),
    (
        "{:type :invoke :process 7 :time 20 :value [[:r 1 nil]]}\n{:type :ok :process 7 :time 19 :value [[:r 1 nil]]}",
        "2: it returns at 19, before its call at 20",
    ),
    (
        "{:type :invoke :process 7 :index 2 :value []}\n{:type :ok :process 7 :index 2 :value []}",
        "2: index 2 after 2: the events are not in their order",
    ),
    ("[{:type :invoke :process 7 :value []}\n", "2: it ends before `]`"),
    (
        "[{:type :invoke :process 7 :value []}]\n{:type :ok :process 7 :value []}",
        "2: something behind the end of the history",
    ),
    ("[{:type :invoke :process 7 :value []}\n)", "2: expected `]`, found `)`"),
    ("{:type :invoke :process 7}", "1: an event without micro-operations as its :value"),
    ("{:type :invoke :process 7 :value []}\n{:type :ok :value []}", "2: an event without :process"),
    ("{:type :invoke :process -7 :value []}", "1: a :process that is no number from 0 on"),
    (
        "\n{:process 7 :value []}",
        "2: no event: expected a map with :type :invoke, :ok, :fail or :info",
    ),
    ("{:type :done :process 7 :value []}", "1: unknown :type :done"),
    ("{:type :invoke :process 7 :value [[:r 1 \"a]]}\n", "1: a text without its end"),
];

const SESSIONS: &[(&str, &str)] = &[
    ("w 0 1\n-----\nw 0\n", "3: expected `w KEY VALUE`, `r KEY VALUE`, or a line of `-` or `=`"),
    ("x 0 1", "1: expected `w KEY VALUE`, `r KEY VALUE`, or a line of `-` or `=`"),
    (
        "w 0 9223372036854775808",
        "1: expected `w KEY VALUE`, `r KEY VALUE`, or a line of `-` or `=`",
    ),
];

const TXN_CALLS: &[(&str, &str)] = &[
    ("w(0,1,0,0)\nw(0,2,0,1)\nw(0,3,0,0)", "3: transaction 0 of session 0 goes on after another"),
    ("w(0,1,-1,0)", "1: session -1 is no number from 0 on"),
    ("w(0,1,0,0)\nx(0,1,0,0)", "2: expected `w` or `r`"),
    ("w(0,1,0)", "1: expected `w(KEY,VALUE,SESSION,TRANSACTION)` or the same with `r`"),
];

const OBJECT_CALLS: &[(&str, &str)] = &[
    ("[1] call pop\n[1] return 3\n[1] return 3\n", "3: 1 returns from what it never called"),
    ("[1] call pop\n[1] call pop", "2: 1 calls before its last call has returned"),
    ("[1] call pop(3)\n[1] return 4", "2: it returns something else than its call says"),
    ("[1] call push", "1: `push` without what it puts"),
    (
        "[1] call sing(3)",
        "1: unknown call `sing`; known: push, insert, add, put; pop, poll, remove, take; peek, top",
    ),
    (
        "# @object atomic-set",
        "1: `atomic-set` is none of the objects that are known here: atomic-stack, atomic-priority-queue",
    ),
    ("[1] call pop\n[-1] return", "2: expected `[NUMBER] call NAME` or `[NUMBER] return`"),
];

const INTERVALS: &[(&str, &str)] = &[
    ("# stack\npush 1 9 8\n", "2: it returns at 8, before its call at 9"),
    ("push 1 8 9\n", "1: expected `# OBJECT` first: stack, priorityqueue, set, semaphore, rmw"),
    ("# stack\n# set\n", "2: the object is named a second time"),
    ("# stack\npush x 8 9\n", "2: `x` is no whole number"),
    ("# stack\npush 1 -8 9\n", "2: `-8` is no number from 0 on"),
    ("# stack\npush -1 8 9\n", "2: -1 cannot be put in: it stands for nothing"),
    (
        "# stack\nsing 1 8 9\n",
        "2: unknown call `sing`, or not its values; known: push VALUE, pop VALUE, peek VALUE",
    ),
    (
        "# set\n0 1 2 contains 3 2\n",
        "2: unknown call `contains`, or not its values; known: insert, remove, contains, each with an element and 0 or 1",
    ),
    ("", "1: no object is named"),
];

const STORE: &[(&str, &str)] = &[
    (
        "{:process 0 :type :invoke :f :get :key \"a\"}\n{:process 0 :type :invoke :f :get :key \"a\"}",
        "2: process 0 invokes before its operation of line 1 has ended",
    ),
    (
        "{:process 3 :type :ok :f :get :key \"a\"}",
        "1: process 3 ends an operation that it never invoked",
    ),
    (
        "{:process 0 :type :invoke :f :get :key \"a\"}\n{:process 0 :type :ok :f :put :key \"a\"}",
        "2: process 0 ends `put`, but invoked `get`",
    ),
    ("{:process 0 :type :invoke :f :put :key \"a\"}", "1: `put` without :value"),
    ("{:process 0 :type :invoke :f :put :value \"a\"}", "1: an operation without :key"),
    (
        "; said\n{:process 0 :type :invoke :f :get :key 1}\n{:process 0 :type :ok :f :get :key 1 :value [1]}",
        "2: a `get` that answers neither a text nor a number",
    ),
];

const OBJECT_JEPSEN: &[(&str, &str)] = &[
    (
        "[{:process 0 :type :invoke :f :acquire :time 3}\n{:process 0 :type :ok :f :acquire :time 2}]",
        "2: it returns at 2, before its call at 3",
    ),
    (
        "[{:process 0 :type :invoke :f :acquire :index 3}\n{:process 0 :type :ok :f :acquire :index 3}]",
        "2: its :index is 3, that of the event before it 3",
    ),
    ("[{:process 0 :type :invoke :f :acquire}\n", "2: it ends before `]`"),
    ("[{:process 0 :type :invoke :f :acquire}]\n[]", "2: something behind the end of the history"),
    ("[{:process 0 :type :invoke :f :acquire}\n)", "2: expected `]`, found `)`"),
    ("{:process 0 :type :invoke :f :acquire}}", "1: a bracket that opens nowhere"),
    (
        "\n{:process 0 :type :invoke :f :add}\n{:process 1 :type :invoke :f :add :value 1}",
        "2: `add` without a whole number in :value",
    ),
    (
        "",
        "1: no lock (:acquire, :release), no set or counter (:add), and not several registers (:txn, or :read of a map)",
    ),
];

const GUESSED: &[(&str, &str)] = &[
    (
        "once upon a time",
        "1: neither JSON lines, nor EDN, nor calls and returns: say which with --format",
    ),
    ("", "1: neither JSON lines, nor EDN, nor calls and returns: say which with --format"),
    (
        "\u{feff}{\"c\":0}",
        "1: neither JSON lines, nor EDN, nor calls and returns: say which with --format",
    ),
];

const TXN_GUESSED: &[(&str, &str)] =
    &[("once", "1: neither JSON lines, nor Jepsen's EDN or JSON, nor sessions, nor calls")];

const OBJECT_GUESSED: &[(&str, &str)] =
    &[("once", "1: neither calls and returns, nor intervals, nor EDN or JSON")];

/// How a drill's history begins.
pub const HEADER: &str = concat!(
    r#"{"firedrill":{"version":1,"header":{"run":"r","scenario":"s","file":"f","seed":1,"plan_digest":"0","target":"local","#,
    r#""version":"0","began":"2026-11-23T00:00:00Z","inventory":[{"id":"n1","zone":"dc1"}],"#,
    r#""workload":{"client":"store","model":"register","workers":10,"rate":"50/s","keys":2,"timeout":"1s"}}}}"#,
    "\n"
);

/// Behind the header, but for those that begin with `!`.
const DRILL: &[(&str, &str)] = &[
    (
        "{\"i\":{\"id\":0,\"p\":1,\"s\":5,\"t\":6,\"c\":{\"f\":\"read\",\"key\":0}}}\n{\"r\":{\"id\":0,\"t\":5,\"o\":{\"ok\":{\"value\":1}}}}\n",
        "3: operation 0 returns at 5, before its call at 6",
    ),
    (
        "{\"i\":{\"id\":0,\"p\":1,\"s\":5,\"t\":6,\"c\":{\"f\":\"read\",\"key\":0}}}\n{\"i\":{\"id\":1,\"p\":1,\"s\":5,\"t\":6,\"c\":{\"f\":\"read\",\"key\":0}}}\n",
        "3: process 1 invokes before its operation 0 has returned",
    ),
    (
        "{\"i\":{\"id\":0,\"p\":1,\"s\":5,\"t\":6,\"c\":{\"f\":\"read\",\"key\":0}}}\n{\"i\":{\"id\":0,\"p\":2,\"s\":5,\"t\":6,\"c\":{\"f\":\"read\",\"key\":0}}}\n",
        "3: operation 0 is invoked twice",
    ),
    (
        "{\"i\":{\"id\":0,\"p\":1,\"s\":5,\"t\":6,\"c\":{\"f\":\"read\",\"key\":0}}}\n{\"r\":{\"id\":0,\"t\":7,\"o\":{\"ok\":{\"value\":1}}}}\n{\"r\":{\"id\":0,\"t\":8,\"o\":{\"ok\":{\"value\":1}}}}\n",
        "4: operation 0 returns twice",
    ),
    (
        "{\"r\":{\"id\":4,\"t\":5,\"o\":{\"ok\":\"done\"}}}\n",
        "2: operation 4 returns, and was never invoked",
    ),
    (
        "{\"d\":-1}\n",
        "2: not a line of a history: invalid value: integer `-1`, expected u64, at column 7",
    ),
    (
        "{\"a\\nb\":1}\n",
        "2: not a line of a history: unknown variant `a\\nb`, expected one of `firedrill`, `i`, `r`, `d`, `fault`, `node`, `load`, `steady`, `end`, at column 7",
    ),
    ("!{\"d\":1}\n", "1: the first line is not a firedrill header"),
    ("!", "1: the file is empty: the drill died before it began"),
];
