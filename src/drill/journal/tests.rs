//! Tests of the journal: what is undone, by whom, and what is left.

use super::*;

fn touch(path: &Path) -> Undo {
    Undo::Command(vec!["touch".into(), path.display().to_string()])
}

fn text(folder: &Path) -> String {
    std::fs::read_to_string(folder.join(FILE)).unwrap()
}

#[test]
fn what_a_dead_runner_left_open_is_undone_once_the_latest_first() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(folder.path(), "r").unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| touch(&folder.path().join(name)));
    journal.before(a).unwrap();
    let undone = journal.before(b).unwrap();
    journal.before(c).unwrap();
    journal.done(undone).unwrap();
    let replayed = replay(folder.path(), REPLAY_LIMIT).unwrap();
    assert_eq!(replayed.left, Vec::<String>::new());
    let ran: Vec<char> = replayed.undone.iter().filter_map(|w| w.chars().last()).collect();
    assert_eq!(ran, ['c', 'a']);
    let again = find(folder.path()).unwrap();
    assert!(again.closed && again.open.is_empty(), "{again:?}");
}

#[test]
fn a_cut_last_line_is_ignored_and_spoils_no_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(folder.path(), "r").unwrap();
    journal.before(touch(&folder.path().join("a"))).unwrap();
    let whole = text(folder.path());
    std::fs::write(folder.path().join(FILE), whole.clone() + r#"{"undo":{"id":2,"h"#).unwrap();
    assert_eq!(find(folder.path()).unwrap().open.len(), 1);
    assert_eq!(replay(folder.path(), REPLAY_LIMIT).unwrap().undone.len(), 1);
    assert!(folder.path().join("a").exists());
    assert!(text(folder.path()).starts_with(&whole));
    assert!(find(folder.path()).unwrap().closed, "{}", text(folder.path()));
}

#[test]
fn a_journal_without_a_whole_line_is_of_a_run_that_did_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), r#"{"began":{"run":"#).unwrap();
    let found = find(folder.path()).unwrap();
    assert!(found.closed && found.open.is_empty() && !found.runner_lives(), "{found:?}");
}

#[test]
fn nonsense_in_the_middle_is_an_error_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    Journal::create(folder.path(), "r").unwrap();
    let spoilt = text(folder.path()) + "nonsense\n\"closed\"\n";
    std::fs::write(folder.path().join(FILE), spoilt).unwrap();
    let error = find(folder.path()).unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn what_fails_is_left_with_the_command_that_restores_it_and_the_rest_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(folder.path(), "r").unwrap();
    journal.before(touch(&folder.path().join("a"))).unwrap();
    let failing = ["sh", "-c", "echo no such link; exit 3"].map(String::from);
    journal.before(Undo::Command(failing.into())).unwrap();
    let replayed = journal.finish(None, &|| false);
    assert!(folder.path().join("a").exists());
    let [left] = &replayed.left[..] else { panic!("{replayed:?}") };
    assert!(left.starts_with("sh -c 'echo no such link; exit 3' ("), "{left}");
    assert!(left.contains("no such link"), "{left}");
    assert!(!find(folder.path()).unwrap().closed);
}

/// As after a pause of the runner: the watchdog healed, and the runner brought a node up again.
#[test]
fn a_runner_undoes_again_what_its_watchdog_undid() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let journal = Journal::create(folder.path(), "r").unwrap();
    journal.before(Undo::RemoveFolder(data.clone())).unwrap();
    std::fs::create_dir(&data).unwrap();
    replay(folder.path(), REPLAY_LIMIT).unwrap();
    std::fs::create_dir(&data).unwrap();
    assert_eq!(journal.finish(None, &|| false).left, Vec::<String>::new());
    assert!(!data.exists());
}

#[test]
fn what_was_tried_in_vain_is_left_for_heal_and_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    let journal = Journal::create(folder.path(), "r").unwrap();
    let argv = vec!["touch".into(), made.display().to_string()];
    let teardown = Undo::Teardown { argv, limit: Duration::from_secs(30) };
    let id = journal.before(teardown).unwrap();
    journal.failed(id, "ended with exit code 7".into());
    let left = journal.finish(None, &|| false).left;
    assert!(left[0].ends_with(" (ended with exit code 7)"), "{left:?}");
    assert!(!made.exists());
    assert_eq!(replay(folder.path(), REPLAY_LIMIT).unwrap().left, Vec::<String>::new());
    assert!(made.exists() && find(folder.path()).unwrap().closed);
}

#[test]
fn a_command_that_is_not_waited_for_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(folder.path(), "r").unwrap();
    journal.before(Undo::Command(["sleep", "60"].map(String::from).into())).unwrap();
    let began = Instant::now();
    let give_up = || began.elapsed() > Duration::from_millis(100);
    let replayed = journal.finish(None, &give_up);
    assert!(replayed.left[0].starts_with("sleep 60 ("), "{replayed:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(find(folder.path()).unwrap().open.len(), 1);
}
