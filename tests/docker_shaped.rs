//! What links of real containers suffer beyond being cut, each proven and healed: late, narrow, spoilt, refused.

mod containers;
mod runner;

use containers::{Nodes, engine};

/// One after the other, so that each is measured alone.
const FAULTS: &[(&str, &str)] = &[
    ("latency: {between: [n1, n2], latency: 40ms}", "n1 -> n2: 3 of 3 datagrams arrived"),
    ("latency: {nodes: n3, latency: 30ms, jitter: 5ms}", "answered after"),
    ("bandwidth: {nodes: n1, rate: 1mbit}", "of a burst came over"),
    ("loss: {between: [n1, n2], loss: 30%}", "of 200 datagrams arrived"),
    ("duplicate: {between: [n2, n3], duplicate: 50%}", "n2 -> n3: 2"),
    ("corrupt: {between: [n1, n3], corrupt: 30%}", "n1 -> n3: 1"),
    ("reorder: {between: [n2, n3], reorder: 30%, latency: 20ms}", "overtook"),
    ("reset: {nodes: n1}", "n1 -> n2: connect refused after"),
    ("reject: {nodes: n3}", "n1 -> n3: connect refused after"),
];

#[test]
fn what_links_suffer_is_proven_and_healed() {
    if !engine() {
        return;
    }
    let nodes = Nodes::running("");
    let before = ["n1", "n2", "n3"].map(|n| nodes.look(n));
    let step = |(i, (fault, _)): (usize, &(&str, &str))| {
        format!("  - {{at: {}s, for: 1s, inject: {{{fault}}}}}\n", 1 + 5 * i)
    };
    nodes.scenario(&FAULTS.iter().enumerate().map(step).collect::<String>());
    let plan = nodes.home.run("plan s.yaml");
    plan.expect(0, &["links are shaped by "]);
    let ran = nodes.home.run("run s.yaml -v");
    let measured: Vec<&str> = FAULTS.iter().map(|(_, measured)| *measured).collect();
    ran.expect(0, &measured);
    nodes.assert_no_helpers();
    assert_eq!(before, ["n1", "n2", "n3"].map(|n| nodes.look(n)), "every fault is healed");
}
