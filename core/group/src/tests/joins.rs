//! Welcomes, honest and not.

use paigham_wire::envelope::{WelcomeWrapper, welcome_aad};
use paigham_wire::hash::label;

use super::*;
use crate::seal::{open, seal};

/// Dua is added while she is away; later she joins, reads what came since, and was told the truth
/// about generation and token.
#[test]
fn group_is_joined_from_the_commit_on() {
    story(|| {
        let (mut relay, mut amina, mut bilal, _) = three();
        let mut dua = Person::new(4, &relay.net);
        let staged = amina.commit(&adding(&[&dua])).unwrap();
        assert!(relay.submit(&staged.submit));
        amina.sync(&relay);
        amina.say(&mut relay, "welcome");
        bilal.sync(&relay);
        dua.join(&relay, &staged.pointers[0].pointer).unwrap();
        assert_eq!(dua.sync(&relay), ["welcome"]);
        agree(&[&amina, &bilal, &dua]);
        assert_eq!(dua.group().read_token(), amina.group().read_token());
    });
}

/// A malicious inviter makes a "direct" chat with a third account in it before anybody could judge;
/// the joiner does not join.
#[test]
fn group_direct_chat_with_a_third_is_not_joined() {
    story(|| {
        let net = Net::new();
        let mut relay = Relay::new(&net);
        let (mut amina, mut bilal, zaid) = (
            Person::new(1, &net),
            Person::new(2, &net),
            Person::new(26, &net),
        );
        amina.create(GroupForm::Direct, &[amina.account(), bilal.account()]);
        let change = adding(&[&bilal, &zaid]);
        let packages: Vec<_> = change.add.iter().map(|c| c.key_package.clone()).collect();
        let refused = amina.commit(&change);
        assert!(matches!(
            refused,
            Err(GroupError::Refused(Violation::Policy))
        ));
        let (submit, pointer) = unjudged_invitation(&mut amina, packages, &change);
        assert!(relay.submit(&submit));
        let refused = bilal.join(&relay, &pointer);
        assert!(
            matches!(
                refused,
                Err(GroupError::Welcome("a direct chat has a third account"))
            ),
            "{refused:?}"
        );
    });
}

fn unjudged_invitation(
    amina: &mut Person,
    packages: Vec<openmls::prelude::KeyPackage>,
    change: &Change,
) -> (SubmitCommit, WelcomePointer) {
    let base = amina.base(Vec::new());
    let made = amina.step(|group, crypto, storage, device| {
        let bundle = group
            .mls
            .commit_builder()
            .force_self_update(true)
            .propose_adds(packages)
            .load_psks(storage.storage())
            .unwrap()
            .build(storage.rand(), storage.crypto(), device.signer(), |_| true)
            .unwrap()
            .stage_commit(storage)
            .unwrap();
        let plaintext = EnvelopePlaintext {
            version: VERSION,
            mls_message: bundle.commit().to_bytes().unwrap().into(),
            proofs: Vec::new(),
            extensions: Vec::new(),
        };
        let welcomes = crate::commit::welcomes_for(crypto, change)?;
        let welcome = bundle.to_welcome_msg();
        group.finish(crypto, change, &base, &plaintext, welcome, welcomes)
    });
    let mut made = made.unwrap();
    (made.submit, made.pointers.remove(0).pointer)
}

/// The inviter lies about generation or token: the joiner's keys are not the registered ones, so it
/// finds no commit that its Welcome belongs to; a generation beyond the epoch is refused at once.
#[test]
fn group_lies_in_a_welcome_show() {
    story(|| {
        let (mut relay, mut amina, _, _) = three();
        let dua = Person::new(4, &relay.net);
        let staged = amina.commit(&adding(&[&dua])).unwrap();
        assert!(relay.submit(&staged.submit));
        let pointer = &staged.pointers[0].pointer;
        let (sealed, tree) = &relay.welcomes[&pointer.welcome_id.locator()];
        let wrapper = open_wrapper(pointer, sealed).unwrap();
        let join_with = |wrapper: &WelcomeWrapper| {
            let set = dua.store.begin();
            let provider = dua.crypto.with(set.mls());
            join(&provider, &dua.device, pointer, wrapper, tree)
        };
        let registered = staged.submit.next_keys.hash();
        let is_found = |wrapper: &WelcomeWrapper| {
            let joined = join_with(wrapper).unwrap();
            joined
                .group
                .is_current_commit(&dua.crypto, &registered)
                .unwrap()
        };
        assert!(is_found(&wrapper));
        let mut token = wrapper.clone();
        token.read_token = paigham_wire::keys::ReadToken::new([1; 32]);
        let mut generation = wrapper.clone();
        generation.generation += 1;
        assert!(!is_found(&token) && !is_found(&generation));
        generation.generation = u32::MAX;
        assert!(matches!(
            join_with(&generation),
            Err(GroupError::Welcome("its epoch and generation do not fit"))
        ));
        // The tree is the one that the wrapper names, under the queue that the pointer names.
        let key = pointer.wrapper_key.as_bytes();
        let aad = welcome_aad(label::TREE, &QUEUE);
        let clear = open(key, &aad, tree).unwrap();
        let again = seal(&dua.crypto, key, &aad, &clear).unwrap();
        let set = dua.store.begin();
        let provider = dua.crypto.with(set.mls());
        let other = join(&provider, &dua.device, pointer, &wrapper, &again);
        assert!(matches!(other, Err(GroupError::Welcome(_))));
        let mut moved = pointer.clone();
        moved.queue = QueueId([8; 32]);
        assert!(open_wrapper(&moved, sealed).is_err());
    });
}

/// Chand is removed and invited again later: the dead group makes place. While she is a member no
/// Welcome replaces her group.
#[test]
fn group_takes_a_removed_member_back() {
    story(|| {
        let (mut relay, mut amina, mut bilal, mut chand) = three();
        let staged = amina.commit(&removing(amina.leaf_of(&chand))).unwrap();
        assert!(relay.submit(&staged.submit));
        amina.sync(&relay);
        let staged = amina.commit(&adding(&[&chand])).unwrap();
        assert!(relay.submit(&staged.submit));
        amina.sync(&relay);
        let pointer = &staged.pointers[0].pointer;
        let refused = chand.join(&relay, pointer);
        assert!(matches!(
            refused,
            Err(GroupError::Welcome("this device is in the group already"))
        ));
        chand.sync(&relay);
        assert!(!chand.group().is_active());
        chand.join(&relay, pointer).unwrap();
        bilal.sync(&relay);
        agree(&[&amina, &bilal, &chand]);
        chand.say(&mut relay, "back");
        assert_eq!(amina.sync(&relay), ["back"]);
    });
}
