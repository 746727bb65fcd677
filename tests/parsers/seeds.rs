//! Small valid histories of every format and of every object: what the cases are made from.

use firedrill::check::{messages, objects};
use firedrill::history::{foreign, transactions};

use crate::reading::Way;

/// What can be told of a text that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Free,
    /// A line that was cut is wrong.
    Lines,
    /// All of it stands in brackets: wherever it is cut, it is wrong.
    Bracket,
}

pub struct Seed {
    pub name: &'static str,
    pub way: Way,
    pub cut: Cut,
    pub text: &'static str,
}

const fn seed(name: &'static str, way: Way, cut: Cut, text: &'static str) -> Seed {
    Seed { name, way, cut, text }
}

const JSONL: Way = Way::Operations(Some(foreign::Format::JsonLines));
const JEPSEN: Way = Way::Operations(Some(foreign::Format::Jepsen));
const CALLS: Way = Way::Operations(Some(foreign::Format::Calls));
const TXN_JSONL: Way = Way::Transactions(Some(transactions::Format::JsonLines));
const TXN_JEPSEN: Way = Way::Transactions(Some(transactions::Format::Jepsen));
const TXN_SESSIONS: Way = Way::Transactions(Some(transactions::Format::Sessions));
const TXN_CALLS: Way = Way::Transactions(Some(transactions::Format::Calls));
const OBJECT_CALLS: Way = Way::Object(Some(objects::Format::Calls));
const INTERVALS: Way = Way::Object(Some(objects::Format::Intervals));
const STORE: Way = Way::Object(Some(objects::Format::Store));
const OBJECT_JEPSEN: Way = Way::Object(Some(objects::Format::Jepsen));

const LOGS_JSONL: Way = Way::Logs(Some(messages::read::Format::JsonLines));
const LOGS_JEPSEN: Way = Way::Logs(Some(messages::read::Format::Jepsen));

pub const SEEDS: &[Seed] = &[
    seed("logs, JSON lines", LOGS_JSONL, Cut::Lines, LOGS_LINES),
    seed("logs, an EDN vector", LOGS_JEPSEN, Cut::Bracket, LOGS_EDN),
    seed("registers, JSON lines", JSONL, Cut::Lines, REGISTERS_JSONL),
    seed("registers, any JSON lines", JSONL, Cut::Lines, REGISTERS_ANY_JSONL),
    seed("queue, JSON lines", JSONL, Cut::Lines, QUEUE_JSONL),
    seed("register, EDN lines", JEPSEN, Cut::Lines, REGISTER_EDN),
    seed("registers by key, an EDN vector", JEPSEN, Cut::Bracket, KEYED_EDN),
    seed("register, a JSON array", JEPSEN, Cut::Bracket, REGISTER_JSON),
    seed("lock, an EDN vector", JEPSEN, Cut::Bracket, LOCK_EDN),
    seed("queue, EDN lines", JEPSEN, Cut::Lines, QUEUE_EDN),
    seed("bank, an EDN list", JEPSEN, Cut::Bracket, BANK_EDN),
    seed("queue, calls", CALLS, Cut::Free, QUEUE_CALLS),
    seed("lists, JSON lines", TXN_JSONL, Cut::Lines, LISTS_JSONL),
    seed("registers of transactions, JSON lines", TXN_JSONL, Cut::Lines, TXN_REGISTERS_JSONL),
    seed("lists, an EDN vector", TXN_JEPSEN, Cut::Bracket, LISTS_EDN),
    seed("registers of transactions, a JSON array", TXN_JEPSEN, Cut::Bracket, TXN_REGISTERS_JSON),
    seed("sessions", TXN_SESSIONS, Cut::Free, SESSIONS),
    seed("transactions as calls", TXN_CALLS, Cut::Lines, TRANSACTION_CALLS),
    seed("stack, calls", OBJECT_CALLS, Cut::Free, STACK_CALLS),
    seed("priority queue, calls", OBJECT_CALLS, Cut::Free, PRIORITY_CALLS),
    seed(
        "stack, intervals",
        INTERVALS,
        Cut::Free,
        "# stack\npush 1 1 4\npush 2 3 6\npeek 2 7 8\npop 2 9 12\npop 1 13 15\npop -1 16 17\n",
    ),
    seed(
        "priority queue, intervals",
        INTERVALS,
        Cut::Free,
        "# PriorityQueue\n0 1 4 insert 1\n1 3 6 insert 9\n2 7 9 poll 9\n",
    ),
    seed("set, intervals", INTERVALS, Cut::Free, SET_INTERVALS),
    seed(
        "semaphore, intervals",
        INTERVALS,
        Cut::Free,
        "# semaphore\n0 1 3 INCR 1\n1 2 5 DECR 1\n0 6 8 DECR 0\n",
    ),
    seed(
        "read-modify-write, intervals",
        INTERVALS,
        Cut::Free,
        "# rmw\n0 1 3 RMW 0 4\n1 2 5 READ 4\n0 6 8 WRITE 7\n",
    ),
    seed("texts by key, EDN lines", STORE, Cut::Lines, STORE_EDN),
    seed("lock, EDN lines", OBJECT_JEPSEN, Cut::Lines, LOCK_LINES),
    seed("set, an EDN vector", OBJECT_JEPSEN, Cut::Bracket, SET_EDN),
    seed("counter, EDN lines", OBJECT_JEPSEN, Cut::Lines, COUNTER_EDN),
    seed("several registers, an EDN vector", OBJECT_JEPSEN, Cut::Bracket, SEVERAL_EDN),
    seed("several registers, maps", OBJECT_JEPSEN, Cut::Lines, MAPS_EDN),
    seed("a drill of registers", Way::Record, Cut::Free, REGISTER_DRILL),
    seed("a drill of a bank", Way::Record, Cut::Free, BANK_DRILL),
    seed("a drill of logs", Way::Record, Cut::Free, LOG_DRILL),
    seed("a drill of a counter", Way::Record, Cut::Free, COUNTER_DRILL),
    seed("a drill of a set", Way::Record, Cut::Free, SET_DRILL),
    seed("a drill of a queue", Way::Record, Cut::Free, QUEUE_DRILL),
    seed("a drill of lists", Way::Record, Cut::Free, LISTS_DRILL),
];

const REGISTERS_JSONL: &str = r#"{"c":0,"k":0,"f":"w","v":1,"t0":10,"t1":20,"s":"ok"}
{"c":1,"k":0,"f":"r","v":null,"t0":5,"t1":12,"s":"ok"}
{"c":1,"k":0,"f":"cas","v":1,"v2":2,"t0":25,"t1":40,"s":"ok"}
{"c":2,"k":0,"f":"cas","v":7,"v2":9,"t0":26,"t1":41,"s":"fail"}
{"c":3,"k":1,"f":"w","v":-4,"t0":30,"t1":null,"s":"info"}
{"c":0,"k":0,"f":"r","v":2,"t0":42,"t1":44,"s":"ok"}
{"c":2,"k":1,"f":"r","v":-4,"t0":50,"t1":60,"s":"ok"}
"#;

const REGISTERS_ANY_JSONL: &str = r#"{ "f": "w", "v": 1, "c": 0, "t0": 10, "t1": 20, "s": "ok" }
{"c": 1, "f": "r", "v": 1, "t0": 15, "t1": 22, "s": "ok", "note": {"more": [1.5, "x"]}}
"#;

const QUEUE_JSONL: &str = r#"{"c":0,"k":0,"f":"enq","v":1,"t0":10,"t1":20,"s":"ok"}
{"c":1,"k":0,"f":"enq","v":2,"t0":15,"t1":null,"s":"info"}
{"c":2,"k":0,"f":"deq","v":1,"t0":18,"t1":30,"s":"ok"}
{"c":0,"k":0,"f":"deq","v":2,"t0":31,"t1":33,"s":"ok"}
{"c":0,"k":0,"f":"deq","v":null,"t0":34,"t1":35,"s":"ok"}
"#;

const REGISTER_EDN: &str = "\
{:type :invoke, :f :write, :value 3, :process 0, :time 10, :index 0}
{:type :invoke, :f :read, :value nil, :process 1, :time 11, :index 1}
{:type :info, :f :start, :process :nemesis, :value {:grudge #{1 2}}, :time 12, :index 2}
{:type :ok, :f :write, :value 3, :process 0, :time 13, :index 3}
{:type :ok, :f :read, :value 3, :process 1, :time 14, :index 4}
{:type :invoke, :f :cas, :value [3 4], :process 0, :time 15, :index 5}
{:type :fail, :f :cas, :value [3 4], :process 0, :time 16, :index 6}
{:type :invoke, :f :write, :value 9, :process 2, :time 17, :index 7}
{:type :info, :f :write, :value 9, :process 2, :time 18, :error \"timed \\\"out\\\"\", :index 8}
";

const KEYED_EDN: &str =
    "[#jepsen.history.Op{:type :invoke, :f :write, :value [:x \"a\"], :process 0}
 #jepsen.history.Op{:type :ok, :f :write, :value [:x \"a\"], :process 0} ; said
 {:type :invoke, :f :read, :value [:x nil], :process 1} #_ {:left out}
 {:type :ok, :f :read, :value [:x \"a\"], :process 1}
 {:type :invoke, :f :read, :value [:y nil], :process 1}
 {:type :ok, :f :read, :value [:y nil], :process 1}]
";

const REGISTER_JSON: &str = r#"[{"type": "invoke", "f": "write", "value": 1, "process": 0},
{"type": "ok", "f": "write", "value": 1, "process": 0},
{"type": "invoke", "f": "read", "value": null, "process": 0},
{"type": "ok", "f": "read", "value": 1, "process": 0}]
"#;

const LOCK_EDN: &str = "[{:type :invoke :f :acquire :process 0} {:type :ok :f :acquire :process 0}
{:type :invoke :f :acquire :process 1} {:type :fail :f :acquire :process 1}
{:type :invoke :f :release :process 0}
{:type :ok :f :release :process 0}]
";

const QUEUE_EDN: &str = "\
{:type :invoke :f :enqueue :value 1 :process 0}
{:type :ok :f :enqueue :value 1 :process 0}
{:type :invoke :f :dequeue :value nil :process 1}
{:type :ok :f :dequeue :value 1 :process 1}
{:type :invoke :f :dequeue :process 1}
{:type :ok :f :dequeue :value nil :process 1}
";

const BANK_EDN: &str = "({:type :invoke :f :transfer :value {:from 0 :to 1 :amount 5} :process 0}
{:type :invoke :f :read :process 1}
{:type :ok :f :read :value {0 10, 1 10} :process 1}
{:type :ok :f :transfer :value {:from 0 :to 1 :amount 5} :process 0}
{:type :invoke :f :read :process 1}
{:type :ok :f :read :value {0 5, 1 15} :process 1})
";

const QUEUE_CALLS: &str = "# @object atomic-queue\n[1] call enq(c)\n[2] call deq\n[1] return\n[2] return c\n[3] call deq()
[3] return empty\n[1] call enq 7\n[1] return\n";

const LISTS_JSONL: &str = r#"{"p":0,"t0":1,"t1":4,"s":"ok","txn":[["append",5,1],["r",5,[1]]]}
{"p":1,"t0":2,"t1":9,"s":"ok","txn":[["r",5,[1]],["append",5,2],["r","x",null]]}
{"p":2,"t0":10,"t1":null,"s":"info","txn":[["append",5,3],["r",5,null]]}
{"p":1,"t0":11,"t1":12,"s":"fail","txn":[["append",5,4]]}
{"p":0,"t0":13,"t1":15,"s":"ok","txn":[["r",5,[1,2,3]]]}
"#;

const TXN_REGISTERS_JSONL: &str = r#"{"p":0,"t0":1,"t1":4,"s":"ok","txn":[["w",5,1],["r",6,null]]}
{"p":1,"t0":5,"t1":9,"s":"ok","txn":[["r",5,1],["w",5,2]]}
{"p":0,"t0":10,"t1":12,"s":"ok","txn":[["r",5,2]]}
"#;

const LISTS_EDN: &str = "[{:index 0, :time 1, :type :invoke, :process 0, :f :txn, :value [[:append 5 1] [:r 5 nil]]}
{:index 1, :time 2, :type :ok, :process 0, :f :txn, :value [[:append 5 1] [:r 5 [1]]]}
{:index 2, :time 3, :type :info, :process :nemesis, :f :start, :value [:isolated {\"n1\" #{\"n2\"}}]}
{:index 3, :time 4, :type :invoke, :process 1, :f :txn, :value [[:r 5 nil] [:append 6 1]]}
{:index 4, :time 5, :type :ok, :process 1, :f :txn, :value [[:r 5 [1]] [:append 6 1]]}
{:index 5, :time 6, :type :invoke, :process 2, :f :txn, :value [[:append 6 2]]}
{:index 6, :time 7, :type :info, :process 2, :f :txn, :value [[:append 6 2]], :error :timeout}]
";

const TXN_REGISTERS_JSON: &str = r#"[{"type":"invoke","process":0,"f":"txn","value":[["w","x",1],["r","y",null]]},
{"type":"ok","process":0,"f":"txn","value":[["w","x",1],["r","y",null]]},
{"type":"invoke","process":1,"f":"txn","value":[["r","x",null]]},
{"type":"ok","process":1,"f":"txn","value":[["r","x",1]]}]
"#;

const SESSIONS: &str = "w 0 1\nr 1 0\n-----\nr 0 1\nw 1 5\n=====\nr 1 5\n-----\nr 0 1\n";

const TRANSACTION_CALLS: &str = "w(0,1,0,0)\nr(1,0,0,0)\nr(0,1,0,1)\nw(1,5,0,1)\nr(1,5,1,2)\n";

const STACK_CALLS: &str = "# @object atomic-stack\n[1] call push(a)\n[2] call push 2\n[1] return\n[2] return\n[3] call pop
[3] return 2\n[3] call peek\n[3] return a\n[4] call pop(a)\n[4] return\n[4] call pop\n[4] return e\n[5] call push(9)\n";

const PRIORITY_CALLS: &str =
    "[1] call insert(1)\n[1] return\n[2] call insert(9)\n[2] return\n[3] call poll\n[3] return 9\n";

const SET_INTERVALS: &str =
    "# set\n0 1 3 INSERT 5 1\n1 2 6 CONTAINS 5 1\n0 7 9 REMOVE 5 1\n1 10 12 REMOVE 5 0\n";

const STORE_EDN: &str = "\
{:process 0, :type :invoke, :f :append, :key \"0\", :value \"x 0 1 y\"}
{:process 1, :type :invoke, :f :get, :key \"0\", :value nil}
{:process 0, :type :ok, :f :append, :key \"0\", :value \"x 0 1 y\"}
{:process 1, :type :ok, :f :get, :key \"0\", :value \"x 0 1 y\"}
{:process 1, :type :invoke, :f :put, :key 7, :value 12}
{:process 1, :type :ok, :f :put, :key 7, :value 12}
";

const LOCK_LINES: &str = "\
{:process 0, :type :invoke, :f :acquire, :index 0}
{:process 0, :type :ok, :f :acquire, :index 1}
{:process 0, :type :invoke, :f :release, :index 2}
{:process 0, :type :info, :f :release, :index 3}
";

const SET_EDN: &str = "[{:process 0, :type :invoke, :f :add, :value 3}
{:process 0, :type :ok, :f :add, :value 3}
{:process 2, :type :invoke, :f :add, :value :x}
{:process 2, :type :info, :f :add, :value :x}
{:process 1, :type :invoke, :f :read}
{:process 1, :type :ok, :f :read, :value #{3 :x}}]
";

const COUNTER_EDN: &str = "\
{:process 0, :type :invoke, :f :add, :value 3}
{:process 0, :type :ok, :f :add, :value 3}
{:process 2, :type :invoke, :f :add-and-get, :value 4}
{:process 2, :type :ok, :f :add-and-get, :value [4 7]}
{:process 1, :type :invoke, :f :read}
{:process 1, :type :ok, :f :read, :value 7}
";

const SEVERAL_EDN: &str = "[{:process 0, :type :invoke, :f :txn, :value [[:w 1 2] [:r 3 nil]]}
{:process 0, :type :ok, :f :txn, :value [[:w 1 2] [:r 3 nil]]}
{:process 1, :type :invoke, :f :txn, :value [[:r 1 nil] [:w 3 9]]}
{:process 1, :type :ok, :f :txn, :value [[:r 1 2] [:w 3 9]]}]
";

const MAPS_EDN: &str = "\
{:process 0, :type :invoke, :f :write, :value {1 2, 3 4}}
{:process 0, :type :ok, :f :write, :value {1 2, 3 4}}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value {1 2}}
";

macro_rules! drill {
    ($model:literal, $($lines:literal),*) => {
        concat!(
            r#"{"firedrill":{"version":1,"header":{"run":"r","scenario":"s","file":"f","seed":1,"plan_digest":"0","target":"local","#,
            r#""version":"0","began":"2026-11-23T00:00:00Z","inventory":[{"id":"n1","zone":"dc1"},{"id":"n2","zone":"dc2"}],"#,
            r#""workload":{"client":"store","model":""#, $model, r#"","workers":10,"rate":"50/s","keys":2,"timeout":"1s"}}}}"#,
            "\n", $($lines),*
        )
    };
}

const REGISTER_DRILL: &str = drill!(
    "register",
    r#"{"load":{"began":0,"ended":null}}
{"steady":{"from":0,"to":1000000000,"success":"100%","rate":50.5,"held":true}}
{"i":{"id":0,"p":1,"n":"n1","s":0,"t":1000,"c":{"f":"write","key":0,"value":7}}}
{"r":{"id":0,"t":2000000,"o":{"ok":"done"}}}
{"node":{"at":3000,"node":"n1","kind":"started"}}
{"node":{"at":3000,"node":"n1","kind":{"stands":{"standing":{"behind":"why"},"after":2000}}}}
{"node":{"at":3000,"node":"n2","kind":{"died":"signal 6"}}}
{"fault":{"id":0,"fault":"kill","what":"kill n1","line":12,"nodes":["n1"],"#,
    r#""planned_at":{"secs":3,"nanos":0},"planned_for":{"secs":4,"nanos":0},"injected":{"issued":3000000000,"effective":3000000000,"measured":3000000000,"evidence":[{"node":"n1","measured":"connect refused"}],"unproven":null},"#,
    r#""healed":{"issued":7000000000,"effective":7000000000,"measured":7000000000,"evidence":[],"unproven":"why"}}}
{"d":3500000000}
{"i":{"id":1,"p":1,"s":4000000000,"t":4000000001,"c":{"f":"cas","key":0,"from":7,"to":8}}}
{"r":{"id":1,"t":4100000000,"o":{"ok":{"swapped":true}}}}
{"i":{"id":2,"p":2,"s":5000000000,"t":5000000001,"c":{"f":"write","key":0,"value":9}}}
{"r":{"id":2,"t":6000000000,"o":{"unknown":"time-out"}}}
{"i":{"id":3,"p":3,"s":8000000000,"t":8000000001,"stage":"final","c":{"f":"read","key":0}}}
{"r":{"id":3,"t":8100000000,"o":{"ok":{"value":9}}}}
{"i":{"id":4,"p":4,"s":8000000000,"t":8000000001,"stage":{"replica":"n1"},"c":{"f":"read","key":1}}}
{"r":{"id":4,"t":8100000000,"o":{"fail":"refused"}}}
{"load":{"began":0,"ended":8000000000}}
{"end":{"at":9000000000,"aborted":null}}
"#
);

const BANK_DRILL: &str = drill!(
    "bank",
    r#"{"i":{"id":0,"p":1,"s":0,"t":0,"c":{"f":"transfer","from":0,"to":1,"amount":5}}}
{"i":{"id":1,"p":2,"s":0,"t":1,"c":{"f":"balances"}}}
{"r":{"id":1,"t":5,"o":{"ok":{"balances":{"0":95,"1":105}}}}}
{"r":{"id":0,"t":6,"o":{"ok":"done"}}}
"#
);

const LOG_DRILL: &str = drill!(
    "log",
    r#"{"i":{"id":0,"p":1,"s":0,"t":0,"c":{"f":"append","key":0,"message":{"sender":1,"sequence":0}}}}
{"r":{"id":0,"t":6,"o":{"ok":{"offset":0}}}}
{"i":{"id":1,"p":1,"s":7,"t":7,"c":{"f":"append","key":0,"message":{"sender":1,"sequence":1}}}}
{"i":{"id":2,"p":2,"s":8,"t":8,"c":{"f":"read-log","key":0,"from":0}}}
{"r":{"id":2,"t":9,"o":{"ok":{"messages":[{"sender":1,"sequence":0},{"sender":1,"sequence":1}]}}}}
"#
);

const COUNTER_DRILL: &str = drill!(
    "counter",
    r#"{"i":{"id":0,"p":1,"s":0,"t":0,"c":{"f":"add","key":0,"delta":3}}}
{"r":{"id":0,"t":6,"o":{"ok":"done"}}}
{"i":{"id":1,"p":1,"s":7,"t":7,"c":{"f":"add","key":0,"delta":-2}}}
{"i":{"id":2,"p":2,"s":8,"t":8,"c":{"f":"total","key":0}}}
{"r":{"id":2,"t":9,"o":{"ok":{"value":1}}}}
"#
);

const SET_DRILL: &str = drill!(
    "set",
    r#"{"i":{"id":0,"p":1,"s":0,"t":0,"c":{"f":"insert","key":0,"element":3}}}
{"r":{"id":0,"t":6,"o":{"ok":"done"}}}
{"i":{"id":2,"p":2,"s":8,"t":8,"c":{"f":"elements","key":0}}}
{"r":{"id":2,"t":9,"o":{"ok":{"values":[3]}}}}
"#
);

const QUEUE_DRILL: &str = drill!(
    "queue",
    r#"{"i":{"id":0,"p":1,"s":0,"t":0,"c":{"f":"enqueue","key":0,"element":3}}}
{"r":{"id":0,"t":6,"o":{"ok":"done"}}}
{"i":{"id":1,"p":2,"s":8,"t":8,"c":{"f":"dequeue","key":0}}}
{"r":{"id":1,"t":9,"o":{"ok":{"value":3}}}}
{"i":{"id":2,"p":2,"s":10,"t":10,"c":{"f":"dequeue","key":0}}}
{"r":{"id":2,"t":11,"o":{"ok":{"value":null}}}}
"#
);

const LISTS_DRILL: &str = drill!(
    "list-append",
    r#"{"i":{"id":0,"p":1,"s":0,"t":0,"c":{"f":"txn","steps":[{"f":"append","key":0,"value":3},{"f":"read","key":0}]}}}
{"r":{"id":0,"t":6,"o":{"ok":{"txn":[null,[3]]}}}}
{"i":{"id":1,"p":2,"s":8,"t":8,"c":{"f":"txn","steps":[{"f":"read","key":0}]}}}
{"r":{"id":1,"t":9,"o":{"ok":{"txn":[[3]]}}}}
"#
);

const LOGS_LINES: &str = r#"{"c":1,"k":"x","f":"append","v":7,"off":0,"t0":1,"t1":2,"s":"ok"}
{"c":1,"k":"x","f":"append","v":8,"off":null,"t0":3,"t1":null,"s":"info"}
{"c":2,"k":"x","f":"read","from":0,"vs":[7,8],"t0":4,"t1":5,"s":"ok"}
{"c":3,"k":"x","f":"poll","vs":[[0,7],[1,8]],"t0":6,"t1":7,"s":"ok"}
"#;

const LOGS_EDN: &str = "[{:type :invoke, :f :send, :process 0, :value [[:send 5 1]], :time 1}
{:type :ok, :f :send, :process 0, :value [[:send 5 [0 1]]], :time 2}
{:type :invoke, :f :assign, :process 1, :value [5]}
{:type :ok, :f :assign, :process 1, :value [5]}
{:type :invoke, :f :poll, :process 1, :value [[:poll]]}
{:type :ok, :f :poll, :process 1, :value [[:poll {5 [[0 1]]}]]}
{:type :invoke, :f :txn, :process 0, :value [[:send 5 2] [:poll]]}
{:type :info, :f :txn, :process 0, :value [[:send 5 2] [:poll]]}]
";
