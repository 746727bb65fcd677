//! Each anomaly alone.

use super::super::{Anomaly, Verdict};
use super::{found, judged};

/// The words of the only anomaly, which must be this one.
fn only(lines: &str, anomaly: Anomaly) -> String {
    let report = judged(lines);
    assert_eq!(found(&report), [(anomaly, false, 1)], "{lines}: {report:?}");
    assert_eq!(report.verdict, Verdict::Violated);
    report.found[0].words[0].clone()
}

fn excused(lines: &str, anomaly: Anomaly) {
    let report = judged(lines);
    assert_eq!(found(&report), [(anomaly, true, 1)], "{lines}: {report:?}");
    assert_eq!(report.verdict, Verdict::Valid);
}

fn valid(lines: &str) {
    let report = judged(lines);
    assert_eq!((found(&report), report.verdict), (vec![], Verdict::Valid), "{lines}");
}

#[test]
fn a_lost_write_stands_before_what_was_read() {
    let words = only("0 s x 1 0; 0 s x 2 1; 1 a x; 1 p x 1:2", Anomaly::LostWrite);
    assert_eq!(
        words,
        "log x: 1 at offset 0 (line 2) was never read, though 2 at offset 1 (line 8) was"
    );
    // What is behind all reads may still come.
    excused("0 s x 1 0; 0 s x 2 1; 1 p x 0:1", Anomaly::Unseen);
    excused("0 s x 1 0; 0 s x 2 -; 1 p x 0:1", Anomaly::Unseen);
    // Of unknown outcome it may never have happened, unless something of it was read.
    valid("0 s? x 1 0; 1 s x 2 1; 1 p x 1:2");
    only("0 t? s x 1 0 s y 5 0; 1 s x 2 1; 1 p x 1:2 y 0:5", Anomaly::LostWrite);
    // Whoever reads it, it is not lost.
    valid("0 s x 1 0; 0 s x 2 1; 1 p? x 0:1; 2 p x 1:2");
}

#[test]
fn an_aborted_read_is_of_what_failed() {
    let words = only("0 s! x 1; 1 p x 0:1", Anomaly::AbortedRead);
    assert_eq!(words, "log x: 1 was read (line 4), and failed to be sent (line 2)");
    valid("0 s! x 1; 0 s x 1 0; 1 p x 0:1");
    valid("0 s x 1 0; 0 s! x 1; 1 p x 0:1");
    valid("0 s? x 1; 1 p x 0:1");
}

#[test]
fn a_phantom_was_never_sent_to_its_log() {
    assert_eq!(
        only("0 s x 1 0; 0 s y 2 0; 1 p x 0:1 y 0:2 1:1", Anomaly::Phantom),
        "log y: 1 was read (line 6), and never sent"
    );
}

#[test]
fn what_an_operation_sends_it_does_not_read_yet() {
    let words = only("0 t s x 1 0 p x 0:1", Anomaly::PrecommittedRead);
    assert_eq!(words, "log x: 1 was sent and read (line 2)");
}

#[test]
fn offsets_have_one_message_each() {
    assert_eq!(
        only("0 s? x 1; 3 s? x 2; 1 p x 0:1; 2 p x 0:2", Anomaly::InconsistentOffsets),
        "log x: 1 at offset 0 (line 6), and 2 at offset 0 (line 8)"
    );
}

#[test]
fn a_message_has_one_offset() {
    assert_eq!(
        only("0 s x 1 0; 1 p x 0:1 1:1", Anomaly::Duplicate),
        "log x: 1 at offset 0 (line 2), and 1 at offset 1 (line 4)"
    );
}

#[test]
fn a_later_send_stands_behind() {
    assert_eq!(
        only("0 s x 1 1; 1 s x 2 0; 2 p x 0:2 1:1", Anomaly::RealtimeReorder),
        "log x: 1 at offset 1 (line 2) was acknowledged before 2 at offset 0 (line 4) was sent"
    );
    assert_eq!(
        only("0 s x 1 1; 0 s x 2 0; 2 p x 0:2 1:1", Anomaly::NonmonotonicSend),
        "log x: 1 at offset 1 (line 2) was followed by 2 at offset 0 (line 4)"
    );
    only("0 t s x 1 1 s x 2 0; 2 p x 0:2 1:1", Anomaly::IntNonmonotonicSend);
    // Of the same process, and of another one further behind.
    let report = judged("1 s x 1 1; 0 s x 2 2; 0 s x 3 0; 2 p x 0:3 1:1 2:2");
    let expected = [(Anomaly::RealtimeReorder, false, 1), (Anomaly::NonmonotonicSend, false, 1)];
    assert_eq!(found(&report), expected);
}

#[test]
fn a_later_send_is_compared_with_the_first_of_the_others() {
    let report = judged("1 s x 1 9; 1 s x 2 7; 2 s x 3 8; 1 s x 4 0; 3 p x 0:4 7:2 8:3 9:1");
    let expected = [(Anomaly::RealtimeReorder, false, 2), (Anomaly::NonmonotonicSend, false, 2)];
    assert_eq!(found(&report), expected);
}

#[test]
fn sends_that_overlap_may_stand_in_any_order() {
    let begin = "{:type :invoke :f :send :process 1 :value [[:send x 2]]}\n";
    let end = "{:type :ok :f :send :process 1 :value [[:send x [0 2]]]}\n";
    let text = format!("{begin}{}{end}{}", super::text("0 s x 1 1"), super::text("2 p x 0:2 1:1"));
    assert_eq!(super::check(&super::messages(&text)).verdict, Verdict::Valid);
}

#[test]
fn one_poll_goes_on_from_message_to_message() {
    let sent = "0 s x 1 0; 0 s x 2 3; 0 s x 3 7; 9 p x 0:1 3:2 7:3; ";
    assert_eq!(
        only(&format!("{sent} 1 p x 0:1 7:3"), Anomaly::IntPollSkip),
        "log x: 1 at offset 0 (line 10) was followed by 3 at offset 7 (line 10), without 2 at \
         offset 3 (line 4)"
    );
    only(&format!("{sent} 1 p x 3:2 0:1"), Anomaly::IntNonmonotonicPoll);
    only(&format!("{sent} 1 p x 3:2 3:2"), Anomaly::IntNonmonotonicPoll);
    only(&format!("{sent} 1 t p x 0:1 p x 7:3"), Anomaly::IntPollSkip);
    valid(&format!("{sent} 1 p x 3:2 7:3"));
    valid(&format!("{sent} 1 pr x 0:1 7:3"));
}

#[test]
fn a_process_goes_on_where_it_was() {
    let sent = "0 s x 1 0; 0 s x 2 3; 0 s x 3 7; 9 p x 0:1 3:2 7:3; ";
    assert_eq!(
        only(&format!("{sent} 1 p x 0:1; 1 p x 7:3"), Anomaly::PollSkip),
        "log x: 1 at offset 0 (line 10) was followed by 3 at offset 7 (line 12), without 2 at \
         offset 3 (line 4)"
    );
    only(&format!("{sent} 1 p x 3:2; 1 p x 0:1"), Anomaly::NonmonotonicPoll);
    only(&format!("{sent} 1 p x 3:2; 1 p x 3:2"), Anomaly::NonmonotonicPoll);
    only(&format!("{sent} 1 a x; 1 p x 0:1; 1 a x y; 1 p x 7:3"), Anomaly::PollSkip);
    only(&format!("{sent} 1 p x 0:1; 1 a! y; 1 p x 7:3"), Anomaly::PollSkip);
    only(&format!("{sent} 1 p x 0:1; 1 u x; 1 a x; 1 p x 7:3"), Anomaly::PollSkip);
    // A poll that failed moved nothing.
    valid(&format!("{sent} 1 p x 0:1; 1 p! x 3:2; 1 p x 3:2"));
    for turn in ["1 a y", "1 a? x", "1 u y", "1 z x", "1 c"] {
        valid(&format!("{sent} 1 p x 0:1; {turn}; 1 p x 7:3"));
        valid(&format!("{sent} 1 p x 7:3; {turn}; 1 p x 0:1"));
    }
    valid(&format!("{sent} 1 p x 0:1; 1 pr x 7:3"));
    excused(&format!("{sent} 1 u x; 1 p x 0:1; 1 p x 7:3"), Anomaly::PollSkip);
    excused(&format!("{sent} 1 u x; 1 p x 7:3; 1 p x 0:1"), Anomaly::NonmonotonicPoll);
}

#[test]
fn what_nobody_read_and_what_was_sent_twice_is_undecided() {
    let undecided = |lines: &str| match judged(lines).verdict {
        Verdict::Undecided(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(undecided("0 s x 1 0"), "nobody read anything");
    let why = undecided("0 s x 1 0; 1 s? x 1; 1 p x 0:1");
    assert!(why.starts_with("1 was sent to log x more than once (lines 2 and 4)"), "{why}");
    valid("0 s x 1 0; 0 s y 1 0; 1 p x 0:1 y 0:1");
    valid("0 p x");
}

#[test]
fn many_cases_are_counted_and_a_few_are_shown() {
    let sent: Vec<String> = (0..20).map(|i| format!("0 s x {i} {i}")).collect();
    let report = judged(&format!("{}; 1 p x 19:19", sent.join(";")));
    assert_eq!(found(&report), [(Anomaly::LostWrite, false, 19)]);
    assert_eq!((report.found[0].words.len(), report.found[0].lines.len()), (8, 9));
    assert_eq!((report.acknowledged, report.read), (20, 1));
}
