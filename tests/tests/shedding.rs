//! What hostile callers cost a relay: little, and nobody else anything.
#![expect(clippy::unwrap_used, reason = "tests")]

use ed25519_dalek::SigningKey;
use paigham_subnet::Outcome;
use paigham_tests::bare::BareAgent;
use paigham_tests::person::{Person, meet};
use paigham_tests::story::story;
use paigham_tests::world::World;
use paigham_wire::blob::{BlobManifest, BlobRequest, CHUNK_BYTES, ChunkRequest, CreateBlob};
use paigham_wire::blob::{BlobReply, BlobState, ChunkReply, PutChunk};
use paigham_wire::codec::{decode_result, encode, encode_result};
use paigham_wire::hash::blake3;
use paigham_wire::ids::QueueId;
use paigham_wire::relay::{CreateQueue, Credential, Position, RelayError};
use serde_bytes::ByteBuf;

/// `depth` levels of types, each a vector of the one before, the innermost of empty records.
fn deep_candid(depth: u8) -> Vec<u8> {
    let mut bytes = b"DIDL".to_vec();
    bytes.push(depth);
    bytes.extend([0x6c, 0x00]);
    for level in 1..depth {
        bytes.extend([0x6d, level - 1]);
    }
    bytes.extend([1, depth - 1]);
    // Each level says that it has 127 of the next.
    bytes.extend(vec![127; usize::from(depth)]);
    bytes
}

/// A vector of two thousand million empty records, which take no bytes.
fn wide_candid() -> Vec<u8> {
    let mut bytes = b"DIDL\x02\x6c\x00\x6d\x00\x01\x01".to_vec();
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0x07]);
    bytes
}

/// Arguments that are deep, wide or as long as they may be are answered or refused within a
/// bounded number of instructions.
#[test]
fn hostile_candid_costs_little() {
    story(async || {
        let world = World::in_memory().await;
        let relay = candid::Principal::try_from_slice(world.file().relay().unwrap().as_slice());
        let relay = relay.unwrap();
        let mut blob = b"DIDL\x00\x01\x7d".to_vec();
        blob.extend(vec![0xff; 100_000]);
        let hostile = [
            deep_candid(100),
            wide_candid(),
            blob,
            Vec::new(),
            vec![0; 9],
        ];
        for argument in hostile {
            for method in ["create_queue", "deposit", "append_batch", "create_blob"] {
                let execution = world
                    .network()
                    .subnet()
                    .measure(relay, method, argument.clone())
                    .await;
                let execution = execution.unwrap().unwrap();
                let spent = execution.instructions;
                assert!(spent < 50_000_000, "{method}: {spent}");
            }
        }
    });
}

/// A blob of junk that has so many bytes with what Candid puts around it.
fn junk(bytes: usize) -> Vec<u8> {
    let candid = |length| candid::encode_one(ByteBuf::from(vec![0xff; length])).unwrap();
    let around = candid(bytes - 16).len() - (bytes - 16);
    assert_eq!(candid(bytes - around).len(), bytes);
    vec![0xff; bytes - around]
}

fn is_too_large(reply: &[u8]) -> bool {
    reply == encode_result::<Position, _>(&Err(RelayError::TooLarge))
}

/// Queries, and calls of canisters, pass no inspection. Their arguments may be as long as others,
/// and one byte more is too much.
#[test]
fn arguments_are_bounded_without_inspection() {
    story(async || {
        let world = World::in_memory().await;
        let agent = BareAgent::in_process(&world);
        let relay = world.file().relay().unwrap();
        let principal = candid::Principal::try_from_slice(relay.as_slice()).unwrap();
        for (method, kib) in [
            ("append_batch", 2_048),
            ("submit_commit", 2_048),
            ("put_chunk", 1_025),
            ("refill", 1_024),
            ("deposit", 10),
            ("create_inbox", 2),
            ("drain", 1),
        ] {
            for more in [0, 1] {
                let argument = ByteBuf::from(junk(kib * 1_024 + more));
                let argument = candid::encode_one(argument).unwrap();
                let subnet = world.network().subnet();
                let ran = subnet.measure(principal, method, argument).await;
                let Outcome::Replied(reply) = ran.unwrap().unwrap().outcome else {
                    panic!("{method} does not answer");
                };
                let reply: ByteBuf = candid::decode_one(&reply).unwrap();
                assert_eq!(is_too_large(&reply), more == 1, "{method}");
            }
        }
        for (method, kib) in [("fetch", 16), ("read_inbox", 1), ("pool", 1), ("blob", 1)] {
            for more in [0, 1] {
                let request = junk(kib * 1_024 + more);
                let reply = agent.query(&relay, method, &request).await.unwrap();
                assert_eq!(is_too_large(&reply), more == 1, "{method}");
            }
        }
    });
}

/// A stranger pays for an attachment with work and stores it in two chunks, one of them twice;
/// who knows its id reads it, chunk by chunk, and verifies it.
#[test]
fn a_blob_goes_through_the_wasm() {
    story(async || {
        let world = World::in_memory().await;
        let agent = BareAgent::in_process(&world);
        let relay = world.file().relay().unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(CHUNK_BYTES + 9).collect();
        let manifest = BlobManifest::of(&bytes).unwrap();
        let blob = manifest.id();
        let expires_at = u32::try_from(agent.now().as_secs()).unwrap() + 3_600;
        let create = CreateBlob {
            manifest: manifest.clone(),
            expires_at,
            credential: Credential::none(),
        };
        let create = agent.paid(&relay, create).await;
        let state = |answer: Vec<u8>| decode_result::<BlobState, RelayError>(&answer).unwrap();
        let answer = agent.update(&relay, "create_blob", &create).await.unwrap();
        assert_eq!(state(answer).unwrap().missing, [0, 1]);
        for index in [1, 0, 0] {
            let part = bytes.chunks(CHUNK_BYTES).nth(index).unwrap();
            let put = PutChunk {
                blob,
                index: u16::try_from(index).unwrap(),
                bytes: part.to_vec().into(),
            };
            let answer = agent.update(&relay, "put_chunk", &encode(&put)).await;
            assert!(state(answer.unwrap()).is_ok());
        }
        let request = encode(&BlobRequest { blob });
        let answer = agent.query(&relay, "blob", &request).await.unwrap();
        let reply = decode_result::<BlobReply, RelayError>(&answer).unwrap();
        let reply = reply.unwrap();
        assert_eq!((reply.manifest, reply.state.missing), (manifest, vec![]));
        let mut read = Vec::new();
        for index in 0..2 {
            let request = encode(&ChunkRequest { blob, index });
            let answer = agent.query(&relay, "chunk", &request).await.unwrap();
            let chunk = decode_result::<ChunkReply, RelayError>(&answer).unwrap();
            read.extend_from_slice(chunk.unwrap().bytes.as_slice());
        }
        assert!(read == bytes);
    });
}

/// The place of the relay's map where a queue lies, while the map is small.
fn place(queue: &QueueId) -> u8 {
    queue.0[0] >> 4
}

/// Mallory makes queues whose ids begin with the same bits until the relay takes no more there. Alice,
/// whose new chats would lie among them, begins them elsewhere, also where a Welcome would lie there,
/// and Bob and Carol read them.
#[test]
fn who_is_crowded_out_begins_elsewhere() {
    const CROWDED: u8 = 0xA;
    const QUEUES_MAX: u64 = 200;
    story(async || {
        let world = World::in_memory().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        let mut carol = Person::registered(&world, "Carol").await;
        meet(&mut [&mut alice, &mut bob, &mut carol]).await;
        let mallory = BareAgent::in_process(&world);
        let relay = world.file().relay().unwrap();
        let key = SigningKey::from_bytes(&[9; 32]);
        let mut nonces = (0_u64..).map(|number| blake3(&number.to_be_bytes()));
        let mut made = 0;
        loop {
            let (queue, request) = CreateQueue::sign(&key, &relay, nonces.next().unwrap());
            if place(&queue) != CROWDED {
                continue;
            }
            match mallory.try_create_queue(&relay, request).await {
                Ok(_) => made += 1,
                Err(RelayError::Full) => break,
                Err(other) => panic!("{other}"),
            }
            assert!(made < QUEUES_MAX, "it takes ever more");
        }

        let wanted = |queue: &QueueId| place(queue) == CROWDED;
        for friend in [&mut bob, &mut carol] {
            let chat = alice.starts_chat_at(friend.account(), wanted).await;
            let chat = chat.unwrap();
            assert_ne!(place(&chat), CROWDED);
            alice.says(chat, "here, then").await;
            friend.hears().await;
            assert_eq!(friend.texts(chat), ["here, then"]);
        }
        assert_eq!(alice.conversations().unwrap().len(), 2);
    });
}
