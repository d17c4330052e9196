//! Strangers and their tickets: work counts once, for one call, for an hour.

use paigham_wire::leaf::ShardLeaf;
use paigham_wire::ticket::{BEACON_INTERVAL_NS, BEACON_LIFETIME_NS, Challenge};

use super::*;

/// Little enough for tests, and enough that no nonce is right by chance.
const BITS: u8 = 12;

fn shard_leaf(relay: &mut Relay<VectorMemory>) -> ShardLeaf {
    let root = relay.seal();
    let reply = relay.shard(vec![1]).unwrap();
    let witness = Witness::decode(reply.witness.as_slice()).unwrap();
    assert_eq!(witness.root(), root);
    let Ok(Found::Present(leaf)) = witness.get(&ShardLeaf::key()) else {
        panic!("absent")
    };
    match decode(leaf).unwrap() {
        Leaf::Shard(leaf) => leaf,
        other => panic!("{other:?}"),
    }
}

/// Asks for [`BITS`] of strangers, from now on.
fn ask_for_work(relay: &mut Relay<VectorMemory>) {
    relay
        .install(&InitArgument {
            admins: None,
            difficulties: Some(Difficulties::all(BITS)),
        })
        .unwrap();
}

fn ready() -> (Relay<VectorMemory>, Owner) {
    let mut relay = relay();
    let owner = Owner::create(&mut relay);
    ask_for_work(&mut relay);
    (relay, owner)
}

fn strangers(owner: &Owner, sealed: &[u8]) -> Deposit {
    Deposit {
        inbox: owner.inbox,
        credential: Credential::none(),
        sealed: sealed.to_vec().into(),
    }
}

/// A deposit that a stranger has worked for, over a beacon.
fn paid(owner: &Owner, sealed: &[u8], beacon: Beacon) -> Deposit {
    let mut request = strangers(owner, sealed);
    request.pay(&canister(), beacon, BITS).unwrap();
    request
}

fn refusal(refusal: TicketRefusal) -> RelayError {
    RelayError::Ticket(refusal)
}

/// A stranger reads the certified beacon, works and deposits; the same bytes again get the same
/// place, also after the owner has drained the inbox.
#[test]
fn a_stranger_pays_with_work() {
    let (mut relay, owner) = ready();
    let leaf = shard_leaf(&mut relay);
    assert_eq!(leaf.difficulties, Difficulties::all(BITS));
    let request = encode(&paid(&owner, b"hello", leaf.beacon));
    assert_eq!(relay.deposit(&request, NOW), Ok(position(1)));
    assert_eq!(relay.deposit(&request, NOW + 5), Ok(position(1)));
    relay.drain(&owner.drain(1, 1)).unwrap();
    assert_eq!(relay.deposit(&request, NOW + 9), Ok(position(1)));
    assert!(owner.read(&relay, 1).unwrap().deposits.is_empty());
}

/// Before the first beacon nobody can be asked for work, and nothing that needs it is taken.
#[test]
fn without_a_beacon_nothing_is_ready() {
    let mut relay = Relay::open(VectorMemory::default(), canister(), 1).unwrap();
    let not_ready = refusal(TicketRefusal::NotReady);
    assert_eq!(relay.shard(vec![1]).unwrap_err(), not_ready);
    let (_, mut request) = CreateQueue::sign(&control(0), &canister(), [5; 32]);
    request.pay(&canister(), Beacon::NONE, BITS).unwrap();
    assert_eq!(relay.create_queue(&encode(&request), NOW), Err(not_ready));
}

/// Somebody with as many principals as they like makes no queue and no inbox without work, and
/// one ticket makes one of them; who makes the same again needs no other.
#[test]
fn each_queue_and_inbox_has_its_ticket() {
    let mut relay = relay();
    ask_for_work(&mut relay);
    let (_, unpaid) = CreateQueue::sign(&control(0), &canister(), [5; 32]);
    let missing = Err(refusal(TicketRefusal::Missing));
    assert_eq!(relay.create_queue(&encode(&unpaid), NOW), missing);
    let mut one = unpaid.clone();
    one.pay(&canister(), BEACON, BITS).unwrap();
    relay.create_queue(&encode(&one), NOW).unwrap();
    relay.create_queue(&encode(&unpaid), NOW).unwrap();
    let (_, mut other) = CreateQueue::sign(&control(0), &canister(), [6; 32]);
    other.credential = one.credential;
    assert_eq!(
        relay.create_queue(&encode(&other), NOW),
        Err(refusal(TicketRefusal::TooLittleWork))
    );
    let key = SigningKey::from_bytes(&[78; 32]);
    let inbox_key = key.verifying_key().to_bytes();
    let xwing_key = vec![3; XWING_KEY_BYTES];
    let operation = InboxOperation::Create {
        xwing_key: &xwing_key,
    };
    let signature = operation.sign(&key, &canister(), &InboxId::derive(&inbox_key));
    let mut inbox = CreateInbox {
        inbox_key,
        xwing_key: xwing_key.into(),
        signature,
        credential: Credential::none(),
    };
    assert_eq!(
        relay.create_inbox(&encode(&inbox), NOW),
        Err(refusal(TicketRefusal::Missing))
    );
    inbox.pay(&canister(), BEACON, BITS).unwrap();
    relay.create_inbox(&encode(&inbox), NOW).unwrap();
}

/// A stranger who sends the same bytes again with other work, as after an expired beacon, gets the
/// same place, and that work is spent as well.
#[test]
fn the_same_deposit_keeps_its_place() {
    let (mut relay, owner) = ready();
    relay
        .deposit(&encode(&paid(&owner, b"hello", BEACON)), NOW)
        .unwrap();
    let later = NOW + BEACON_INTERVAL_NS;
    relay.issue_beacon([2; 32], later);
    let beacon = shard_leaf(&mut relay).beacon;
    let again = encode(&paid(&owner, b"hello", beacon));
    assert_eq!(relay.deposit(&again, later), Ok(position(1)));
    relay.drain(&owner.drain(1, 1)).unwrap();
    assert_eq!(relay.deposit(&again, later), Ok(position(1)));
}

/// Mallory has worked once. The ticket does not pay for another deposit, another inbox, another
/// purpose or another shard, and one with less work pays for nothing.
#[test]
fn work_is_worth_one_call() {
    let (mut relay, owner) = ready();
    let beacon = shard_leaf(&mut relay).beacon;
    let worked = paid(&owner, b"hello", beacon);
    let little = Err(refusal(TicketRefusal::TooLittleWork));
    let other = Deposit {
        sealed: b"other".to_vec().into(),
        ..worked.clone()
    };
    assert_eq!(relay.deposit(&encode(&other), NOW), little);
    let claim = Claim {
        inbox: owner.inbox,
        claim_id: [1; 32],
        credential: worked.credential.clone(),
    };
    assert_eq!(
        relay.claim(&encode(&claim), NOW),
        Err(refusal(TicketRefusal::TooLittleWork))
    );

    let elsewhere = CanisterId::new(&[9]).unwrap();
    let mut neighbour = Relay::open(VectorMemory::default(), elsewhere, 1).unwrap();
    ask_for_work(&mut neighbour);
    // Even if both had drawn the same beacon.
    neighbour.issue_beacon([1; 32], NOW);
    let challenge = Challenge {
        canister: &neighbour.canister,
        purpose: Deposit::PURPOSE,
        call: worked.call_hash(),
        beacon,
    };
    let nonce = decode::<paigham_wire::ticket::Ticket>(worked.credential.data.as_slice())
        .unwrap()
        .nonce;
    assert!(paigham_wire::ticket::leading_zeros(&challenge.hash(nonce)) < u32::from(BITS));

    let mut cheap = strangers(&owner, b"cheap");
    loop {
        cheap.pay(&canister(), beacon, 2).unwrap();
        if relay.deposit(&encode(&cheap), NOW) == little {
            break;
        }
        cheap.sealed = [cheap.sealed.as_slice(), b"!"].concat().into();
    }
    assert_eq!(relay.deposit(&encode(&worked), NOW), Ok(position(1)));
}

/// Work is no stock: it cannot begin before its beacon, and an hour after the beacon's issue it is
/// worth nothing. Until then the one before counts as well.
#[test]
fn work_does_not_keep() {
    let (mut relay, owner) = ready();
    let first = shard_leaf(&mut relay).beacon;
    let stock: Vec<_> = (0..3)
        .map(|n: u8| encode(&paid(&owner, &[n], first)))
        .collect();
    let half = NOW + BEACON_INTERVAL_NS;
    assert!(!relay.beacon_is_due(half - 1) && relay.beacon_is_due(half));
    relay.issue_beacon([9; 32], half - 1);
    assert_eq!(shard_leaf(&mut relay).beacon, first);
    relay.issue_beacon([2; 32], half);
    let leaf = shard_leaf(&mut relay);
    assert_eq!((leaf.beacon.value, leaf.previous), ([2; 32], first));
    assert!(relay.deposit(&stock[0], half).is_ok());
    let expired = Err(refusal(TicketRefusal::BeaconExpired));
    assert_eq!(relay.deposit(&stock[1], NOW + BEACON_LIFETIME_NS), expired);
    relay.issue_beacon([3; 32], NOW + BEACON_LIFETIME_NS);
    assert_eq!(relay.deposit(&stock[2], NOW + BEACON_LIFETIME_NS), expired);
    assert_eq!(relay.deposit(&stock[0], NOW + BEACON_LIFETIME_NS), expired);
    // A beacon that was never issued.
    let invented = Beacon {
        issued_at: NOW + BEACON_LIFETIME_NS - 1,
        value: [7; 32],
    };
    let request = encode(&paid(&owner, b"x", invented));
    assert_eq!(relay.deposit(&request, NOW + BEACON_LIFETIME_NS), expired);
}

/// A refused call costs its caller nothing: the same ticket counts once there is room.
#[test]
fn a_refused_call_spends_nothing() {
    let (mut relay, owner) = ready();
    let beacon = shard_leaf(&mut relay).beacon;
    let mut record = relay.inbox(&owner.inbox).unwrap();
    record.strangers = relay.administration.settings().quotas.stranger_deposits;
    relay.put_inbox(&owner.inbox, &record);
    let request = encode(&paid(&owner, b"hello", beacon));
    assert_eq!(relay.deposit(&request, NOW), Err(RelayError::Full));
    record.strangers -= 1;
    relay.put_inbox(&owner.inbox, &record);
    assert_eq!(relay.deposit(&request, NOW), Ok(position(1)));
}

/// Strangers fill their part of an inbox; contacts still get in, and a drain makes room again.
#[test]
fn strangers_do_not_crowd_contacts_out() {
    let (mut relay, owner) = ready();
    let beacon = shard_leaf(&mut relay).beacon;
    let mut record = relay.inbox(&owner.inbox).unwrap();
    record.strangers = 499;
    relay.put_inbox(&owner.inbox, &record);
    relay
        .deposit(&encode(&paid(&owner, b"last", beacon)), NOW)
        .unwrap();
    let late = encode(&paid(&owner, b"late", beacon));
    assert_eq!(relay.deposit(&late, NOW), Err(RelayError::Full));
    let operation = InboxOperation::Capability { not_after: SOON };
    let capability = Capability {
        not_after: SOON,
        signature: owner.sign(operation),
    };
    let contact = Deposit {
        credential: Credential {
            credential_type: credential::CAPABILITY,
            data: encode(&capability).into(),
        },
        ..strangers(&owner, b"a friend")
    };
    assert_eq!(relay.deposit(&encode(&contact), NOW), Ok(position(2)));
    relay.drain(&owner.drain(1, 2)).unwrap();
    assert_eq!(relay.deposit(&late, NOW), Ok(position(3)));
}

/// A stranger's claim takes one key package, the same one however often it is repeated.
#[test]
fn a_strangers_claim_takes_one_key_package() {
    let (mut relay, owner) = ready();
    let beacon = shard_leaf(&mut relay).beacon;
    relay
        .refill(&owner.refill(1, &[b"one", b"two"], None))
        .unwrap();
    let mut request = Claim {
        inbox: owner.inbox,
        claim_id: [1; 32],
        credential: Credential::none(),
    };
    request.pay(&canister(), beacon, BITS).unwrap();
    let request = encode(&request);
    let first = relay.claim(&request, NOW).unwrap();
    assert_eq!(first.key_package, Some(b"one".to_vec().into()));
    assert_eq!(relay.claim(&request, NOW), Ok(first));
    assert_eq!(relay.inbox(&owner.inbox).unwrap().leaf.one_time_left, 1);
}

/// Beacons and spent tickets outlive an upgrade.
#[test]
fn an_upgrade_forgets_no_ticket() {
    let memory = VectorMemory::default();
    let mut relay = opened(memory.clone());
    let owner = Owner::create(&mut relay);
    ask_for_work(&mut relay);
    let before = shard_leaf(&mut relay);
    let request = encode(&paid(&owner, b"hello", before.beacon));
    relay.deposit(&request, NOW).unwrap();
    relay.drain(&owner.drain(1, 1)).unwrap();
    relay.seal();
    drop(relay);
    let mut relay = Relay::open(memory, canister(), 1).unwrap();
    assert_eq!(shard_leaf(&mut relay), before);
    assert_eq!(relay.deposit(&request, NOW), Ok(position(1)));
    assert_eq!(relay.inbox(&owner.inbox).unwrap().leaf.seq, 1);
}

/// Before they cost a place in a block, calls without a credential, with work for another call or
/// with bytes that are no request are shed; honest ones are let in, also with a beacon that this
/// node does not know yet.
#[test]
fn hopeless_calls_are_shed() {
    let (relay, owner) = ready();
    let anybody = paigham_wire::ids::PrincipalId::new(&[4]).unwrap();
    let admits = |method: &str, request: &[u8]| relay.admits(method, request, &anybody);
    let good = paid(&owner, b"hello", BEACON);
    assert!(admits("deposit", &encode(&good)));
    let unknown = Beacon {
        issued_at: NOW + 1,
        value: [7; 32],
    };
    assert!(admits("deposit", &encode(&paid(&owner, b"hello", unknown))));
    assert!(!admits("deposit", &encode(&strangers(&owner, b"hello"))));
    let other = Deposit {
        sealed: b"other".to_vec().into(),
        ..good
    };
    assert!(!admits("deposit", &encode(&other)));
    for method in ["create_queue", "append_batch", "submit_commit", "put_chunk"] {
        assert!(!admits(method, b"garbage"), "{method}");
    }
    assert!(!admits("admin_approve", &[0; 32]));
    assert!(!admits("no_such_method", b""));
}
