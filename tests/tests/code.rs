//! The operator changes code or controllers under people who are in the middle of a talk.

use std::time::Duration;

use candid::Principal;
use paigham_client::{ClientError, NotVerified};
use paigham_modules::{DIRECTORY, RELAY, module_hash};
use paigham_tests::person::{Person, meet};
use paigham_tests::story::story;
use paigham_tests::world::World;
use paigham_wire::ids::CanisterId;
use paigham_wire::network::{CanisterRole, NetworkCanister, NetworkFile};

/// As long as a look at the code counts, and a little more.
const LATER: Duration = Duration::from_secs(5 * 60 + 1);

/// A module that does the same under another hash: with an empty custom section at its end.
fn other(module: &[u8]) -> Vec<u8> {
    [module, &[0, 2, 1, b'x']].concat()
}

/// Upgrades canisters, each on its own subnet.
async fn upgrade(world: &World, canisters: &[CanisterId], module: &[u8]) {
    for canister in canisters {
        let id = Principal::from_slice(canister.as_slice());
        let mut upgraded = 0;
        for subnet in world.network().subnets() {
            upgraded += usize::from(subnet.upgrade(id, module, Vec::new()).await.is_ok());
        }
        assert_eq!(upgraded, 1);
    }
}

/// The entries of relays in a network file.
fn relays(file: &mut NetworkFile) -> impl Iterator<Item = &mut NetworkCanister> {
    let entries = file.canisters.iter_mut();
    entries.filter(|entry| entry.role == CanisterRole::Relay)
}

fn is_refused(outcome: Result<(), ClientError>, canister: &str) {
    match outcome {
        Err(ClientError::NotVerified(NotVerified::Code(name))) => assert_eq!(name, canister),
        other => panic!("{other:?}"),
    }
}

/// The relay is upgraded to a module that nobody announced while Alice's app runs. Within five
/// minutes the app stops sending: what she writes waits, no post reaches the relay, and her app says
/// why. The operator goes back, and what waited is delivered.
#[test]
fn a_running_client_stops_sending_to_strange_code() {
    story(async || {
        let world = World::with_manual_clock().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        bob.hears().await;
        alice.says(chat, "all is well").await;
        let directory = vec![world.file().directory().unwrap()];
        for (canisters, module, name, method) in [
            (&world.relays(), RELAY, "relay", "append_batch"),
            (&directory, DIRECTORY, "directory", "append_batch"),
        ] {
            upgrade(&world, canisters, &other(module)).await;
            world.pass(LATER).await;
            let before = world.node().calls_of(method);
            is_refused(alice.sync().await.map(drop), name);
            // Sending alone does not ask the directory, but nothing is sent to strange code.
            let waits = alice.send(chat, name).await;
            if name == "relay" {
                is_refused(waits.map(drop), name);
                assert_eq!(world.node().calls_of(method), before);
            }
            upgrade(&world, canisters, module).await;
            alice.hears().await;
            bob.hears().await;
            assert!(bob.has_text(chat, name));
        }
    });
}

/// The operator announces the module first, in a signed successor of the network file: people who
/// opened it go on under the new code, and the old file still stops everybody else.
#[test]
fn announced_code_is_followed() {
    story(async || {
        let mut world = World::with_manual_clock().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let mut bob = Person::registered(&world, "Bob").await;
        meet(&mut [&mut alice, &mut bob]).await;
        let chat = alice.start_chat(bob.account()).await.unwrap();
        bob.hears().await;
        let new = other(RELAY);
        world.announces(|file| {
            for relay in relays(file) {
                relay.module_hashes.push(module_hash(&new).into());
            }
        });
        alice.reopens(&world.file());
        upgrade(&world, &world.relays(), &new).await;
        world.pass(LATER).await;
        alice.says(chat, "under the new code").await;
        is_refused(bob.sync().await.map(drop), "relay");
        bob.reopens(&world.file());
        bob.hears().await;
        assert!(bob.has_text(chat, "under the new code"));
    });
}

/// A canister has other controllers than the file names: whoever they are, they could install
/// anything.
#[test]
fn other_controllers_stop_sending() {
    story(async || {
        let mut world = World::with_manual_clock().await;
        let mut alice = Person::registered(&world, "Alice").await;
        let somebody = Principal::self_authenticating([7; 44]);
        world.announces(|file| {
            for relay in relays(file) {
                relay.controllers.push(somebody.as_slice().to_vec().into());
            }
        });
        alice.reopens(&world.file());
        is_refused(alice.sync().await.map(drop), "relay");
    });
}
