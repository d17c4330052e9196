//! Blobs: announced, filled, read, gone.

use paigham_wire::blob::*;
use paigham_wire::ids::BlobId;

use super::*;

const SECOND: u64 = 1_000_000_000;
const DAY: u32 = 24 * 3_600;
const NOW_SECONDS: u32 = 1_700_000_000;

fn group(relay: &mut Relay<VectorMemory>) -> Group {
    let mut group = Group::create(relay);
    group.advance(relay, false);
    group
}

fn content(length: usize, seed: u8) -> Vec<u8> {
    (0..=255_u8)
        .cycle()
        .map(|byte| byte.wrapping_mul(seed))
        .take(length)
        .collect()
}

/// A member's announcement.
fn announce(group: &Group, bytes: &[u8], expires_at: u32) -> CreateBlob {
    let manifest = BlobManifest::of(bytes).unwrap();
    let key = &group.keys.as_ref().unwrap().mac_key;
    let tag = BlobMac::tag(
        key,
        &canister(),
        &group.queue,
        group.epoch,
        &manifest.id(),
        expires_at,
    );
    let mac = BlobMac {
        queue: group.queue,
        epoch: group.epoch,
        tag,
    };
    CreateBlob {
        manifest,
        expires_at,
        credential: Credential {
            credential_type: credential::MEMBER,
            data: encode(&mac).into(),
        },
    }
}

fn put_chunk(
    relay: &mut Relay<VectorMemory>,
    blob: BlobId,
    index: u16,
    bytes: &[u8],
    now: u64,
) -> Result<BlobState, RelayError> {
    let bytes = bytes.to_vec().into();
    relay.put_chunk(&encode(&PutChunk { blob, index, bytes }), now)
}

fn read(
    relay: &Relay<VectorMemory>,
    blob: BlobId,
    index: u16,
    now: u64,
) -> Result<Vec<u8>, RelayError> {
    let reply = relay.chunk(&encode(&ChunkRequest { blob, index }), now)?;
    Ok(reply.bytes.as_slice().to_vec())
}

/// A member announces an attachment, the upload breaks off and goes on with what is missing; any
/// holder of the id reads and verifies it, also after an upgrade.
#[test]
fn an_upload_is_resumed() {
    let memory = VectorMemory::default();
    let mut relay = opened(memory.clone());
    let group = group(&mut relay);
    let bytes = content(2 * CHUNK_BYTES + 77, 3);
    let chunks: Vec<_> = bytes.chunks(CHUNK_BYTES).collect();
    let request = announce(&group, &bytes, NOW_SECONDS + DAY);
    let blob = request.manifest.id();
    let state = relay.create_blob(&encode(&request), NOW).unwrap();
    assert_eq!(state.missing, [0, 1, 2]);
    let state = put_chunk(&mut relay, blob, 2, chunks[2], NOW).unwrap();
    assert_eq!(state.missing, [0, 1]);
    assert_eq!(read(&relay, blob, 0, NOW), Err(RelayError::NoSuchBlob));
    // Announced again, it is where it was.
    let again = relay.create_blob(&encode(&request), NOW).unwrap();
    assert_eq!(again, state);
    for (index, chunk) in (0..).zip(&chunks) {
        put_chunk(&mut relay, blob, index, chunk, NOW).unwrap();
    }
    relay.seal();
    drop(relay);
    let relay = Relay::open(memory, canister(), 1).unwrap();
    let reply = relay.blob(&encode(&BlobRequest { blob }), NOW).unwrap();
    assert!(reply.state.missing.is_empty());
    assert_eq!(reply.manifest.id(), blob);
    for (index, chunk) in (0..).zip(&chunks) {
        let read = read(&relay, blob, index, NOW).unwrap();
        assert!(reply.manifest.verify_chunk(index, &read));
        assert!(read == *chunk);
    }
    assert_eq!(read(&relay, blob, 3, NOW), Err(RelayError::NoSuchBlob));
}

/// Who belongs to no queue, to a past epoch, or has changed what was announced stores nothing; and
/// bytes that the manifest does not have are refused where they arrive.
#[test]
fn only_what_was_announced_is_stored() {
    let mut relay = relay();
    let mut group = group(&mut relay);
    let bytes = content(1_000, 5);
    let good = announce(&group, &bytes, NOW_SECONDS + DAY);
    let refused = |relay: &mut Relay<VectorMemory>, request: &CreateBlob| {
        relay.create_blob(&encode(request), NOW).unwrap_err()
    };
    let later = CreateBlob {
        expires_at: NOW_SECONDS + DAY + 1,
        ..good.clone()
    };
    assert_eq!(refused(&mut relay, &later), RelayError::Credential);
    let nobody = CreateBlob {
        credential: Credential::none(),
        ..good.clone()
    };
    assert_eq!(
        refused(&mut relay, &nobody),
        RelayError::Ticket(TicketRefusal::Missing)
    );
    for expires_at in [NOW_SECONDS, 0, NOW_SECONDS + BLOB_MAX_SECONDS + 1] {
        let odd = announce(&group, &bytes, expires_at);
        assert_eq!(refused(&mut relay, &odd), RelayError::NotAfter);
    }
    group.advance(&mut relay, false);
    assert_eq!(refused(&mut relay, &good), RelayError::Credential);
    let good = announce(&group, &bytes, NOW_SECONDS + DAY);
    let blob = good.manifest.id();
    assert_eq!(
        put_chunk(&mut relay, blob, 0, &bytes, NOW),
        Err(RelayError::NoSuchBlob)
    );
    relay.create_blob(&encode(&good), NOW).unwrap();
    assert_eq!(
        put_chunk(&mut relay, blob, 0, &content(1_000, 6), NOW),
        Err(RelayError::Credential)
    );
    assert_eq!(
        put_chunk(&mut relay, blob, 1, &bytes, NOW),
        Err(RelayError::Credential)
    );
    put_chunk(&mut relay, blob, 0, &bytes, NOW).unwrap();
}

/// A stranger pays for a small blob with one ticket; for a second one it does not count, and a
/// large one needs a queue.
#[test]
fn a_ticket_pays_for_one_small_blob() {
    let mut relay = relay();
    relay
        .install(&InitArgument {
            admins: None,
            difficulties: Some(Difficulties::all(8)),
        })
        .unwrap();
    let unpaid = |bytes: &[u8]| CreateBlob {
        manifest: BlobManifest::of(bytes).unwrap(),
        expires_at: NOW_SECONDS + DAY,
        credential: Credential::none(),
    };
    let mut small = unpaid(b"a photo");
    small.pay(&canister(), BEACON, 8).unwrap();
    let blob = small.manifest.id();
    relay.create_blob(&encode(&small), NOW).unwrap();
    put_chunk(&mut relay, blob, 0, b"a photo", NOW).unwrap();
    let mut large = unpaid(&content((TICKET_BLOB_MAX_CHUNKS + 1) * CHUNK_BYTES, 7));
    large.pay(&canister(), BEACON, 8).unwrap();
    assert_eq!(
        relay.create_blob(&encode(&large), NOW),
        Err(RelayError::TooLarge)
    );
    let mut second = unpaid(b"another photo");
    second.credential = small.credential;
    // Its hash is right by chance once in 256 times; this one is not.
    assert_eq!(
        relay.create_blob(&encode(&second), NOW),
        Err(RelayError::Ticket(TicketRefusal::TooLittleWork))
    );
}

/// The members of one queue announce as much in a day as the quota lets them, another queue's have
/// theirs, and the next day they have a new one.
#[test]
fn a_queue_has_a_quota_of_blobs() {
    let mut relay = administration::administered(VectorMemory::default());
    let quotas = paigham_wire::admin::Quotas {
        blob_bytes: 1 << 20,
        ..Default::default()
    };
    administration::agree(&mut relay, paigham_wire::admin::Action::SetQuotas(quotas));
    let one = group(&mut relay);
    let mut other = Group::with_nonce(&mut relay, [8; 32]);
    other.advance(&mut relay, false);
    let (first, second) = (content(700_000, 3), content(700_000, 5));
    let at = |days: u32| u64::from(NOW_SECONDS + days * DAY) * SECOND;
    let mut create = |group, bytes: &[u8], days| {
        let request = announce(group, bytes, NOW_SECONDS + (days + 1) * DAY);
        relay.create_blob(&encode(&request), at(days)).map(|_| ())
    };
    assert_eq!(create(&one, &first, 0), Ok(()));
    assert_eq!(create(&one, &second, 0), Err(RelayError::OverQuota));
    assert_eq!(create(&other, &second, 0), Ok(()));
    assert_eq!(create(&one, &content(700_000, 7), 1), Ok(()));
}

/// A blob is gone at its time, and its storage soon after: four months of blobs of a day, a
/// week and a month take no more than the last month's.
#[test]
fn blobs_expire_and_give_their_storage_back() {
    let mut relay = relay();
    let group = group(&mut relay);
    let mut most = (0, 0);
    for day in 0..120_u32 {
        let now = u64::from(NOW_SECONDS + day * DAY) * SECOND;
        for (days, seed) in [(1, 3), (7, 5), (30, 7)] {
            let bytes = [&day.to_le_bytes()[..], &content(300_000, seed)].concat();
            let request = announce(&group, &bytes, NOW_SECONDS + (day + days) * DAY);
            let blob = request.manifest.id();
            relay.create_blob(&encode(&request), now).unwrap();
            put_chunk(&mut relay, blob, 0, &bytes, now).unwrap();
            let last = u64::from(NOW_SECONDS + (day + days) * DAY) * SECOND - 1;
            assert!(read(&relay, blob, 0, last).is_ok());
            assert_eq!(read(&relay, blob, 0, last + 1), Err(RelayError::NoSuchBlob));
        }
        while relay.expire_blobs(now) {}
        if day == 60 {
            most = relay.blobs_in_use();
        }
    }
    assert_eq!(relay.blobs_in_use(), most);
    // When the last has expired nothing is left.
    let end = u64::from(NOW_SECONDS + 200 * DAY) * SECOND;
    while relay.expire_blobs(end) {}
    assert_eq!(relay.blobs_in_use(), (0, 0));
}
