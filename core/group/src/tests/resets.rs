//! Going on after a commit that nobody takes: which group continues another, and whose leaf is
//! replaced at whose request.

use paigham_wire::reset::{LeftOut, ReAddMessage, ResetClaim};

use super::*;
use crate::reset::{MEMBERS_WAIT_NS, Rank, ResetRefusal, StoppedAt};

const NEW: QueueId = QueueId([8; 32]);
const HEAD: Hash = [5; 32];
const STOPPED: u64 = 1_000 * MINUTE;

/// The group that somebody makes in the place of one that stopped.
struct Made {
    by: Person,
    group: Group,
}

impl Made {
    /// By a person of the old group, with some of its devices, under a policy.
    fn new(by: &Person, with: &[&Person], policy: &GroupPolicy) -> Self {
        Self::in_queue(NEW, by, with, policy)
    }

    fn in_queue(queue: QueueId, by: &Person, with: &[&Person], policy: &GroupPolicy) -> Self {
        let own = by.device.credential();
        let twin = Person::with_device(own.account.0[0], own.device.0[0], &by.net);
        let control = SigningKey::from_bytes(&[43; 32]);
        let set = twin.store.begin();
        let provider = twin.crypto.with(set.mls());
        let beginning = crate::reset::with_admin(policy, own.account);
        let mut group =
            Group::create(&provider, &twin.device, queue, &beginning, &control).unwrap();
        let accounts: BTreeSet<_> = with.iter().map(|one| one.account()).collect();
        let change = Change {
            policy: (beginning != *policy).then(|| policy.clone()),
            ..adding(with)
        };
        let base = twin.base(accounts.into_iter().map(proof_of).collect());
        let staged = group.commit(&twin.crypto, &provider, &twin.device, &change, base);
        staged.unwrap();
        group.merge_own(&twin.crypto, &provider, STOPPED).unwrap();
        set.commit().unwrap();
        Self { by: twin, group }
    }

    fn claim(&self, old: &Person) -> ResetClaim {
        old.group()
            .claim_reset(&self.by.device, HEAD, self.group.queue(), Vec::new())
    }
}

fn stopped(offender: Option<AccountId>) -> StoppedAt {
    StoppedAt {
        commit_head: HEAD,
        offender,
        accepted_at: STOPPED,
    }
}

/// Amina, the admin, Bilal, Chand and the offender Dua at the last good epoch.
fn four() -> (Relay, [Person; 4]) {
    let (mut relay, mut amina, mut bilal, mut chand) = three();
    let mut dua = Person::new(4, &relay.net);
    amina.add(&mut relay, &mut dua);
    bilal.sync(&relay);
    chand.sync(&relay);
    (relay, [amina, bilal, chand, dua])
}

/// The admin makes the group anew without the offender: everybody takes it, at once, and ranks it
/// alike. A member's ranks behind, and is taken after a day only.
#[test]
fn group_a_reset_continues_the_group() {
    story(|| {
        let (_, [amina, bilal, chand, dua]) = four();
        let at = stopped(Some(dua.account()));
        let policy = amina.group().policy_of_reset(at.offender).unwrap();
        assert_eq!(policy, amina.group().policy().unwrap());
        let by_admin = Made::new(&amina, &[&bilal, &chand], &policy);
        let by_member = Made::new(&bilal, &[&amina, &chand], &policy);
        assert_eq!(by_member.group.policy().unwrap(), policy);
        let mut ranks = Vec::new();
        for person in [&amina, &bilal, &chand] {
            let judge = |made: &Made, old: &Person, time| {
                let claim = made.claim(old);
                person.group().judge_reset(&at, &claim, &made.group, time)
            };
            let first = judge(&by_admin, &amina, STOPPED).unwrap();
            let early = judge(&by_member, &bilal, STOPPED + MEMBERS_WAIT_NS - 1);
            assert_eq!(early, Err(ResetRefusal::Early));
            let second = judge(&by_member, &bilal, STOPPED + MEMBERS_WAIT_NS).unwrap();
            assert!(first < second);
            ranks.push((first, second));
        }
        assert!(ranks.windows(2).all(|pair| pair[0] == pair[1]));
        let bilal_leaf = amina.leaf_of(&bilal);
        let expected = Rank {
            by_member: true,
            leaf: bilal_leaf,
            queue: NEW.0,
        };
        assert_eq!(ranks[0].1, expected);
    });
}

/// The only admin broke the rules: the account with the lowest leaf is admin. A direct chat without
/// one of the two is none.
#[test]
fn group_a_reset_is_never_without_an_admin() {
    story(|| {
        let (_, [amina, bilal, _, _]) = four();
        let offender = Some(amina.account());
        let policy = bilal.group().policy_of_reset(offender).unwrap();
        assert_eq!(policy.admins, [bilal.account()]);
        let (is_admin, turn) = bilal
            .group()
            .turn_in_reset(bilal.group().own_leaf(), offender)
            .unwrap();
        assert_eq!((is_admin, turn), (false, 0));
        let (_, amina, _) = two();
        let own = Some(amina.account());
        assert!(amina.group().policy_of_reset(own).is_err());
        assert!(amina.group().policy_of_reset(None).is_ok());
    });
}

/// Whoever lies about the group that stopped is refused: another place in the chain, another queue,
/// somebody else's signature, the offender's own reset, a stranger more or a member less, another
/// role or name.
#[test]
fn group_a_false_reset_is_refused() {
    story(|| {
        let (relay, [amina, bilal, chand, dua]) = four();
        let at = stopped(Some(dua.account()));
        let policy = amina.group().policy_of_reset(at.offender).unwrap();
        let made = Made::new(&amina, &[&bilal, &chand], &policy);
        let judge = |claim: &ResetClaim, made: &Made| {
            let judged = chand.group().judge_reset(&at, claim, &made.group, STOPPED);
            judged.expect_err("it was taken")
        };
        let key = SigningKey::from_bytes(&[1; 32]);
        let changed = |change: fn(&mut ResetClaim)| {
            let mut claim = made.claim(&amina);
            change(&mut claim);
            judge(&claim.sign(&key), &made)
        };
        assert_eq!(changed(|c| c.epoch -= 1), ResetRefusal::Position);
        assert_eq!(changed(|c| c.commit_head = [9; 32]), ResetRefusal::Position);
        assert_eq!(
            changed(|c| c.authenticator_hash = [9; 32]),
            ResetRefusal::Position
        );
        assert_eq!(changed(|c| c.old = NEW), ResetRefusal::Queue);
        assert_eq!(changed(|c| c.new = QUEUE), ResetRefusal::Queue);
        // Bilal's leaf did not sign it.
        assert_eq!(changed(|c| c.leaf = 1), ResetRefusal::Creator);
        let mut unsigned = made.claim(&amina);
        unsigned.epoch += 1;
        assert_eq!(judge(&unsigned, &made), ResetRefusal::Creator);
        // What is left out must be missing, and nothing else.
        let left_out = vec![LeftOut {
            account: bilal.account(),
            device: bilal.device.credential().device,
        }];
        let mut claim = made.claim(&amina);
        claim.left_out = left_out;
        assert_eq!(judge(&claim.sign(&key), &made), ResetRefusal::Members);

        let of_offender = Made::new(&dua, &[&amina, &bilal, &chand], &policy);
        let refused = judge(&of_offender.claim(&dua), &of_offender);
        assert_eq!(refused, ResetRefusal::Creator);
        let with_offender = Made::new(&amina, &[&bilal, &chand, &dua], &policy);
        let refused = judge(&with_offender.claim(&amina), &with_offender);
        assert_eq!(refused, ResetRefusal::Members);
        let eve = Person::new(9, &relay.net);
        let with_stranger = Made::new(&amina, &[&bilal, &chand, &eve], &policy);
        let refused = judge(&with_stranger.claim(&amina), &with_stranger);
        assert_eq!(refused, ResetRefusal::Members);
        let without_bilal = Made::new(&amina, &[&chand], &policy);
        let refused = judge(&without_bilal.claim(&amina), &without_bilal);
        assert_eq!(refused, ResetRefusal::Members);
        let two_admins = crate::reset::with_admin(&policy, bilal.account());
        let promoted = Made::new(&amina, &[&bilal, &chand], &two_admins);
        let refused = judge(&promoted.claim(&amina), &promoted);
        assert_eq!(refused, ResetRefusal::Policy);
        let mut renamed = policy;
        renamed.name = b"other".to_vec().into();
        let renamed = Made::new(&amina, &[&bilal, &chand], &renamed);
        let refused = judge(&renamed.claim(&amina), &renamed);
        assert_eq!(refused, ResetRefusal::Policy);
    });
}

/// A person's request for a new leaf, by a key package of its own.
fn ask(person: &Person, epoch: u32) -> (ReAddMessage, CheckedKeyPackage) {
    let set = person.store.begin();
    let now = person.net.seconds();
    let provider = person.crypto.with(set.mls());
    let made = person.device.key_package(&provider, false, now).unwrap();
    set.commit().unwrap();
    let message = person.device.ask_for_re_add(QUEUE, epoch, now, &made.bytes);
    let package = CheckedKeyPackage::check(&person.crypto, &made.bytes, now).unwrap();
    (message, package)
}

fn replacing(leaf: u32, (message, package): &(ReAddMessage, CheckedKeyPackage)) -> Change {
    Change {
        add: vec![package.clone()],
        remove: vec![leaf],
        policy: None,
        re_adds: vec![message.request.clone()],
    }
}

/// The device has lost its group, and joins anew.
fn comes_back(person: &mut Person, relay: &Relay, staged: &StagedCommitPost) {
    if let Some(mut group) = person.group.take() {
        let set = person.store.begin();
        group.delete(&person.crypto.with(set.mls())).unwrap();
        set.commit().unwrap();
    }
    person.join(relay, &staged.pointers[0].pointer).unwrap();
    let at = relay.entries[person.cursor - 1].accepted_at;
    person.group.as_mut().unwrap().joined_at(at);
    person.saved = Some(person.group().state().clone());
}

/// GRP-010: Chand cannot follow and asks; Bilal, who is no admin, replaces the leaf. Everybody takes
/// it, the generation goes on, and the request is used up.
#[test]
fn group_grp_010_a_leaf_is_replaced_at_its_request() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let request = ask(&chand, chand.group().epoch());
        let generation = bilal.group().state().generation;
        let change = replacing(bilal.leaf_of(&chand), &request);
        let staged = bilal.commit(&change).unwrap();
        assert!(relay.submit(&staged.submit));
        bilal.sync(&relay);
        amina.sync(&relay);
        comes_back(&mut chand, &relay, &staged);
        agree(&[&amina, &bilal, &chand]);
        assert_eq!(bilal.group().state().generation, generation);
        let counted = &bilal.group().state().re_adds;
        assert_eq!(counted.len(), 1);
        assert_eq!(&amina.group().state().re_adds, counted);
        assert_eq!(
            &chand.group().state().re_adds,
            counted,
            "a joiner counts alike"
        );
        chand.say(&mut relay, "back");
        assert_eq!(amina.sync(&relay), ["back"]);
        // The request is used up.
        let again = replacing(amina.leaf_of(&chand), &request);
        assert!(matches!(
            amina.commit(&again),
            Err(GroupError::Refused(Violation::ReAdd))
        ));
    });
}

/// GRP-010: without a request that holds for exactly this device, leaf and key package, nobody
/// without the role replaces a leaf.
#[test]
fn group_grp_010_no_leaf_is_replaced_without_one() {
    story(|| {
        let (relay, amina, mut bilal, chand) = three();
        let epoch = chand.group().epoch();
        let leaf = bilal.leaf_of(&chand);
        let asked = ask(&chand, epoch);
        let mut refused = |change: &Change| bilal.commit(change).expect_err("it was made");
        let without = Change {
            re_adds: Vec::new(),
            ..replacing(leaf, &asked)
        };
        assert!(matches!(refused(&without), GroupError::NotAllowed));
        let is_re_add = |error| matches!(error, GroupError::Refused(Violation::ReAdd));
        let other_package = (asked.0.clone(), ask(&chand, epoch).1);
        assert!(is_re_add(refused(&replacing(leaf, &other_package))));
        let too_new = ask(&chand, epoch + 1);
        assert!(is_re_add(refused(&replacing(leaf, &too_new))));
        let mut of_another = ask(&chand, epoch);
        of_another.0.request = of_another.0.request.sign(&SigningKey::from_bytes(&[1; 32]));
        assert!(is_re_add(refused(&replacing(leaf, &of_another))));
        let twice = Change {
            re_adds: vec![asked.0.request.clone(); 2],
            ..replacing(leaf, &asked)
        };
        assert!(is_re_add(refused(&twice)));
        let stays = Change {
            remove: Vec::new(),
            ..replacing(leaf, &asked)
        };
        assert!(matches!(refused(&stays), GroupError::Mls(..)));
        // A day later it counts no more, for anybody.
        relay.net.pass(25 * 60 * MINUTE);
        let at = relay.net.now();
        let judged = amina.group().check_re_add(&asked.0.request, at);
        assert_eq!(judged.err(), Some(Violation::ReAdd));
    });
}

/// GRP-010: the fourth re-add of one device in a day is refused, and what a changed client sends
/// nevertheless stops everybody alike, who came back among them.
#[test]
fn group_grp_010_three_times_a_day() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        for _ in 0..3 {
            let asked = ask(&chand, bilal.group().epoch());
            let staged = bilal.commit(&replacing(bilal.leaf_of(&chand), &asked));
            let staged = staged.unwrap();
            assert!(relay.submit(&staged.submit));
            bilal.sync(&relay);
            amina.sync(&relay);
            comes_back(&mut chand, &relay, &staged);
            relay.net.pass(MINUTE);
        }
        let asked = ask(&chand, bilal.group().epoch());
        let change = replacing(bilal.leaf_of(&chand), &asked);
        let refused = bilal.commit(&change);
        assert!(matches!(refused, Err(GroupError::Refused(Violation::Rate))));
        let base = bilal.base(vec![proof_of(chand.account())]);
        let forged = bilal.step(|group, crypto, storage, device| {
            group.commit_unjudged(crypto, storage, device, &change, base)
        });
        assert!(relay.submit(&forged.unwrap().submit));
        let entry = relay.last();
        all_see(
            Violation::Rate,
            &entry,
            &mut [&mut amina, &mut bilal, &mut chand],
        );
    });
}
