//! Comparing what two people have seen of a log.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::*;

fn view(log: &Log) -> paigham_transparency::verifier::TreeView {
    let mut person = Person::new(&log.config);
    person.search(log, "amina").unwrap();
    person.view.unwrap()
}

/// Views of one log never contradict each other; views of two do, where both show the part in which
/// they differ, and otherwise say nothing.
#[test]
fn views_of_one_log_agree() {
    let mut log = Log::new(WINDOW);
    log.publish(0, &[("amina", b"one")]);
    let mut seen = vec![view(&log)];
    let mut forks = Vec::new();
    for _ in 0..20 {
        let mut fork = log.clone();
        fork.publish(MINUTE, &[("amina", b"other")]);
        log.publish(MINUTE, &[]);
        // Both grow by as much, so that they have the same full subtrees.
        forks.push((view(&fork), view(&log)));
        seen.push(view(&log));
    }
    for a in &seen {
        for b in &seen {
            assert_eq!(a.contradicts(b), None);
        }
    }
    for (fork, honest) in &forks {
        assert_eq!(fork.contradicts(honest), Some(fork.size()));
        assert_eq!(honest.contradicts(fork), Some(fork.size()));
    }
    // The last common part of a small view and a much larger one is nothing.
    assert_eq!(forks[0].0.contradicts(&seen[20]), None);
    assert_eq!(forks[1].0.contradicts(&forks[2].1), None);
    assert_eq!(forks[2].0.contradicts(&forks[3].1), Some(4));
}
