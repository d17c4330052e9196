//! What works when everybody keeps the rules.

use super::*;

/// Three people join one another, write in two languages, and agree on every key.
#[test]
fn group_of_three_people_talks() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        agree(&[&amina, &bilal, &chand]);
        amina.say(&mut relay, "السلام علیکم");
        bilal.say(&mut relay, "hello");
        assert_eq!(chand.sync(&relay), ["السلام علیکم", "hello"]);
        assert_eq!(amina.sync(&relay), ["hello"]);
        assert_eq!(bilal.sync(&relay), ["السلام علیکم"]);
    });
}

/// A removed member opens nothing new, even if it ignores its removal, and the read token changes.
#[test]
fn group_removes_a_member_who_reads_nothing_new() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let before = amina.group().read_token().unwrap();
        let staged = amina.commit(&removing(amina.leaf_of(&chand))).unwrap();
        assert!(relay.submit(&staged.submit));
        amina.sync(&relay);
        bilal.sync(&relay);
        assert_ne!(amina.group().read_token().unwrap(), before);
        amina.say(&mut relay, "without Chand");
        assert_eq!(bilal.sync(&relay), ["without Chand"]);
        let secret = relay.last();
        // Chand has not read its removal yet, and tries with all that it has.
        let opened =
            chand
                .group()
                .open_envelope(&chand.crypto, &secret.header, secret.envelope.as_slice());
        assert!(matches!(opened, Err(GroupError::Sealed)));
        assert!(chand.sync(&relay).is_empty());
        assert!(!chand.group().is_active());
        let refused = chand.take(&secret);
        assert!(matches!(
            refused,
            Err(ReceiveError::Group(GroupError::NotAMember))
        ));
        agree(&[&amina, &bilal]);
    });
}

/// A member leaves by itself: its SelfRemove is committed by another who is no admin, for all alike.
#[test]
fn group_lets_a_member_leave() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        chand.leave(&mut relay);
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
            assert_eq!(person.group().leaving().len(), 1);
        }
        let staged = bilal.commit(&Change::default()).unwrap();
        assert!(relay.submit(&staged.submit));
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
        }
        assert!(!chand.group().is_active());
        assert_eq!(amina.group().members().count(), 2);
        agree(&[&amina, &bilal]);
    });
}

/// Two leave at once, and one of them commits: it takes out the other, never itself.
#[test]
fn group_lets_a_leaver_commit_the_other_leaver() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        bilal.leave(&mut relay);
        chand.leave(&mut relay);
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
        }
        let staged = bilal.commit(&Change::default()).unwrap();
        assert!(relay.submit(&staged.submit));
        for person in [&mut amina, &mut bilal, &mut chand] {
            person.sync(&relay);
        }
        assert!(bilal.group().is_active() && !chand.group().is_active());
        agree(&[&amina, &bilal]);
        // The SelfRemove was of the old epoch: Bilal leaves again.
        assert!(bilal.group().leaving().is_empty());
        bilal.leave(&mut relay);
        amina.sync(&relay);
        // An admin who removes a leaver by the way needs no SelfRemove of it.
        let staged = amina.commit(&removing(amina.leaf_of(&bilal))).unwrap();
        assert!(relay.submit(&staged.submit));
        amina.sync(&relay);
        bilal.sync(&relay);
        assert!(!bilal.group().is_active());
    });
}

/// A device that restarts between any two entries goes on where it was, a waiting commit included.
#[test]
fn group_outlives_its_process() {
    story(|| {
        let (mut relay, mut amina, mut bilal, _) = three();
        for text in ["one", "two"] {
            amina.say(&mut relay, text);
            bilal.restart();
            assert_eq!(bilal.sync(&relay), [text]);
            amina.restart();
            amina.sync(&relay);
        }
        let staged = amina.commit(&Change::default()).unwrap();
        amina.restart();
        assert!(matches!(
            amina.commit(&Change::default()),
            Err(GroupError::CommitPending)
        ));
        assert!(relay.submit(&staged.submit));
        amina.restart();
        amina.sync(&relay);
        bilal.sync(&relay);
        agree(&[&amina, &bilal]);
    });
}

/// A creator without an answer to its first commit can read the queue with the token that this
/// commit starts, also after a restart; before that commit there is nothing to read.
#[test]
fn group_in_epoch_zero_fetches_with_the_token_of_its_first_commit() {
    story(|| {
        let net = Net::new();
        let mut relay = Relay::new(&net);
        let (mut amina, bilal) = (Person::new(1, &net), Person::new(2, &net));
        amina.create(GroupForm::Group, &[amina.account()]);
        assert!(matches!(
            amina.group().fetch_token(&amina.crypto),
            Err(GroupError::Nothing)
        ));
        assert!(
            amina
                .group()
                .is_current_commit(&amina.crypto, &[0; 32])
                .unwrap()
        );
        let staged = amina.commit(&adding(&[&bilal])).unwrap();
        amina.restart();
        let early = amina.group().fetch_token(&amina.crypto).unwrap();
        assert_eq!(early.hash(), staged.submit.next_keys.read_token_hash);
        assert!(relay.submit(&staged.submit));
        amina.sync(&relay);
        assert_eq!(amina.group().fetch_token(&amina.crypto).unwrap(), early);
        let registered = staged.submit.next_keys.hash();
        let group = amina.group();
        assert!(group.is_current_commit(&amina.crypto, &registered).unwrap());
        assert!(!group.is_current_commit(&amina.crypto, &[0; 32]).unwrap());
    });
}

/// Two commit at once, two hundred times, while time passes: exactly one wins each epoch, all
/// agree, and nobody runs into the rate rule.
#[test]
fn group_of_two_commits_at_once_keeps_one() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        for round in 0..200 {
            relay.net.pass(6 * MINUTE);
            let first = amina.commit(&Change::default()).unwrap();
            let second = bilal.commit(&Change::default()).unwrap();
            let (winner, loser) = if round % 3 == 0 {
                (first, second)
            } else {
                (second, first)
            };
            let before = relay.epoch;
            assert!(relay.submit(&winner.submit));
            assert!(!relay.submit(&loser.submit));
            // The winner's reply was lost: it sends again, and nothing happens twice.
            assert!(relay.submit(&winner.submit));
            assert_eq!(relay.epoch, before + 1);
            for person in [&mut amina, &mut bilal, &mut chand] {
                person.sync(&relay);
                assert!(person.group().state().pending.is_none());
                assert_eq!(person.keys_hash(), relay.last().keys_hash.unwrap());
            }
            agree(&[&amina, &bilal, &chand]);
        }
        amina.say(&mut relay, "still here");
        assert_eq!(chand.sync(&relay), ["still here"]);
    });
}
