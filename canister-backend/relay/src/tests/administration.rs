//! Administrators: what they can set, what they cannot, and that everybody sees it.

use paigham_wire::admin::*;
use paigham_wire::ids::PrincipalId;
use paigham_wire::leaf::ShardLeaf;
use paigham_wire::shards::ShardMap;

use super::*;
use crate::Retention;

pub(super) fn admin(id: u8) -> PrincipalId {
    PrincipalId::new(&[9, id]).unwrap()
}

/// Two of three administer.
pub(super) fn administered(memory: VectorMemory) -> Relay<VectorMemory> {
    let mut relay = Relay::open(memory, canister(), 1).unwrap();
    let admins = AdminSet {
        admins: (0..3).map(admin).collect(),
        threshold: 2,
    };
    relay
        .install(&InitArgument {
            admins: Some(admins),
            difficulties: Some(Difficulties::all(BITS)),
        })
        .unwrap();
    relay.issue_beacon([1; 32], NOW);
    relay
}

fn proposal(relay: &Relay<VectorMemory>, action: Action) -> Vec<u8> {
    encode(&Proposal {
        canister: canister(),
        number: relay.administration.entries(),
        action,
    })
}

/// Two administrators agree.
pub(super) fn agree(relay: &mut Relay<VectorMemory>, action: Action) {
    let request = proposal(relay, action);
    let first = relay.admin_propose(&request, &admin(0), NOW).unwrap();
    assert_eq!(first.executed, 0);
    let approval = encode(&ApproveRequest {
        proposal: first.proposal,
    });
    let second = relay.admin_approve(&approval, &admin(1), NOW).unwrap();
    assert_eq!(second.executed, 1);
}

/// Two of three set everything that can be set; each is logged, the log leads to the certified
/// head, and all of it outlives an upgrade.
#[test]
fn what_the_threshold_sets_counts_and_is_logged() {
    let memory = VectorMemory::default();
    let mut relay = administered(memory.clone());
    let quotas = Quotas {
        queue_posts: 1_000,
        ..Quotas::default()
    };
    let bounds = RetentionBounds {
        posts: 24 * 3_600 * 1_000_000_000,
        commits: 48 * 3_600 * 1_000_000_000,
        bytes: 1 << 30,
    };
    agree(&mut relay, Action::SetQuotas(quotas));
    agree(&mut relay, Action::SetGateways(vec![admin(5)]));
    agree(&mut relay, Action::SetDifficulties(Difficulties::all(9)));
    agree(&mut relay, Action::SetRetention(bounds));
    let root = relay.seal();
    drop(relay);
    let mut relay = Relay::open(memory, canister(), 1).unwrap();
    assert_eq!(relay.seal(), root);
    let settings = relay.administration.settings();
    assert_eq!(settings.quotas, quotas);
    assert_eq!(settings.gateways, [admin(5)]);
    assert_eq!(settings.difficulties, Difficulties::all(9));
    let retention = Retention {
        posts: bounds.posts,
        commits: bounds.commits,
        bytes: bounds.bytes,
    };
    assert_eq!(relay.retention, retention);

    let request = encode(&AdminLogRequest { from: 0 });
    let reply = relay.admin_log(&request, vec![1]).unwrap();
    let head = reply
        .entries
        .iter()
        .fold([0; 32], |head, entry| entry.head(&head));
    let witness = Witness::decode(reply.witness.as_slice()).unwrap();
    assert_eq!(witness.root(), root);
    let Ok(Found::Present(leaf)) = witness.get(&ShardLeaf::key()) else {
        panic!("absent")
    };
    let Leaf::Shard(leaf) = decode(leaf).unwrap() else {
        panic!("another leaf")
    };
    assert_eq!((leaf.admin_entries, leaf.admin_head), (4, head));
    assert_eq!(reply.entries[0].approvers, [admin(0), admin(1)]);
}

/// One administrator alone, a stranger, the anonymous principal, the directory's action, values out
/// of bounds and garbage change nothing.
#[test]
fn nobody_administers_alone() {
    let mut relay = administered(VectorMemory::default());
    let root = relay.seal();
    let wanted = proposal(&relay, Action::SetDifficulties(Difficulties::all(1)));
    for _ in 0..2 {
        let reply = relay.admin_propose(&wanted, &admin(0), NOW).unwrap();
        assert_eq!((reply.approvals, reply.executed), (1, 0));
    }
    let anonymous = PrincipalId::new(&[4]).unwrap();
    for stranger in [admin(7), anonymous] {
        assert_eq!(
            relay.admin_propose(&wanted, &stranger, NOW),
            Err(AdminRefusal::NotAdmin)
        );
    }
    let shards = Action::SetShards(ShardMap { shards: vec![] });
    let shards = proposal(&relay, shards);
    assert_eq!(
        relay.admin_propose(&shards, &admin(0), NOW),
        Err(AdminRefusal::WrongCanister)
    );
    let none = Quotas {
        queue_posts: 0,
        ..Quotas::default()
    };
    let none = proposal(&relay, Action::SetQuotas(none));
    assert_eq!(
        relay.admin_propose(&none, &admin(0), NOW),
        Err(AdminRefusal::OutOfBounds)
    );
    assert_eq!(
        relay.admin_approve(b"garbage", &admin(0), NOW),
        Err(AdminRefusal::Malformed)
    );
    assert_eq!(relay.seal(), root);
}

/// Without an argument at install nobody administers, for good.
#[test]
fn a_network_without_administrators_has_none() {
    let mut relay = relay();
    relay.install(&InitArgument::default()).unwrap();
    let wanted = proposal(&relay, Action::SetDifficulties(Difficulties::all(1)));
    assert_eq!(
        relay.admin_propose(&wanted, &admin(0), NOW),
        Err(AdminRefusal::NotAdmin)
    );
}

/// Administrators who turn everything down as far as it goes take nothing from anybody: each
/// bound leaves a day, and what a queue and an inbox hold is read as before.
#[test]
fn the_strictest_settings_take_nothing_away() {
    let mut relay = administered(VectorMemory::default());
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    append(&mut relay, &group.post(b"hello"));
    let owner = Owner::create(&mut relay);
    deposit(&mut relay, owner.inbox, b"pointer").unwrap();
    let day = 24 * 3_600 * 1_000_000_000;
    let least = Quotas {
        queue_bytes: 1 << 20,
        queue_posts: 1_000,
        queue_commits: 100,
        blob_bytes: 1 << 20,
        stranger_deposits: 10,
    };
    agree(&mut relay, Action::SetQuotas(least));
    agree(&mut relay, Action::SetGateways(vec![]));
    agree(
        &mut relay,
        Action::SetRetention(RetentionBounds {
            posts: day,
            commits: 2 * day,
            bytes: 1 << 30,
        }),
    );
    while relay.expire(NOW + day - 1) {}
    let what = FetchWhat::Entries;
    assert_eq!(
        seqs(fetch(&relay, group.queue, &group.token, 1, what)),
        [1, 2]
    );
    assert_eq!(owner.read(&relay, 1).unwrap().deposits.len(), 1);
}

/// A member floods a queue: at its quota posts are refused, and the commit that removes the
/// flooder is taken.
#[test]
fn a_flooded_queue_still_takes_the_commit_that_ends_it() {
    let mut relay = administered(VectorMemory::default());
    let quotas = Quotas {
        queue_bytes: 1 << 20,
        ..Quotas::default()
    };
    agree(&mut relay, Action::SetQuotas(quotas));
    let mut group = Group::create(&mut relay);
    group.advance(&mut relay, false);
    let half = vec![7; 600_000];
    append(&mut relay, &group.post(&half));
    group.seq += 1;
    let over = group.post(&half);
    assert_eq!(refused(&mut relay, &over), PostRefusal::OverQuota);
    assert_eq!(leaf(&mut relay, &group.queue).seq, 2);
    group.advance(&mut relay, true);
    // A day later it is a queue like any other.
    let later = NOW + 25 * 3_600 * 1_000_000_000;
    let mut header = group.header(PostKind::Application, &half);
    header.not_after = (later / 1_000_000_000) as u32 + 300;
    let key = group.keys.as_ref().map(|keys| &keys.mac_key);
    let post = encode_post(&header, key, &half);
    let outcomes = relay.append_batch(&post, later).unwrap().outcomes;
    assert!(matches!(outcomes[..], [PostOutcome::Accepted(_)]));
}
