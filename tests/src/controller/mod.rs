//! The directory's controller as an adversary: by upgrades it reads the canister's stable memory,
//! writes it anew and puts the genuine module back. Everything that the log shows afterwards is
//! certified by the subnet like the truth.

mod memory;

pub use memory::Memory;

use std::time::{Duration, UNIX_EPOCH};

use candid::Principal;
use ic_agent::Agent;
use paigham_modules::DIRECTORY;
use paigham_subnet::Subnet;

use crate::world::World;

/// Reads and writes stable memory.
const READER: &str = include_str!("memory.wat");
const PAGE_BYTES: usize = 64 * 1024;
/// Number and bytes of a page.
const RECORD_BYTES: usize = 8 + PAGE_BYTES;
/// Pages in one call.
const PAGES: usize = 16;
/// The agent compares answers with this machine's clock, the subnet may go by another one.
const READ_EXPIRY: Duration = Duration::from_secs(365 * 24 * 3_600);
const UPDATE_EXPIRY: Duration = Duration::from_secs(120);

/// Whoever may install other code in a directory.
#[derive(Debug)]
pub struct Controller<'a> {
    subnet: &'a Subnet,
    directory: Principal,
    agent: Agent,
}

impl<'a> Controller<'a> {
    /// Of the world's directory.
    #[must_use]
    pub fn of(world: &'a World) -> Self {
        Self::on(world.network().subnet(), directory_of(world))
    }

    /// Of a directory on a subnet.
    ///
    /// # Panics
    /// If the agent cannot be built.
    #[must_use]
    pub fn on(subnet: &'a Subnet, directory: Principal) -> Self {
        let agent = Agent::builder()
            .with_url("http://127.0.0.1")
            .with_arc_http_middleware(subnet.in_process())
            .with_ingress_expiry(READ_EXPIRY)
            .build()
            .unwrap();
        agent.set_root_key(subnet.root_key_der());
        Self {
            subnet,
            directory,
            agent,
        }
    }

    /// What lies in the directory's memory now.
    pub async fn memory(&self) -> Memory {
        self.runs(&reader()).await;
        let memory = self.read().await;
        self.runs(DIRECTORY).await;
        memory
    }

    /// Writes the directory's memory anew.
    ///
    /// # Panics
    /// If the subnet does not take it.
    pub async fn writes(&self, memory: &Memory) {
        self.runs(&reader()).await;
        let old = self.read().await;
        let changed = memory.pages_other_than(&old);
        for some in changed.chunks(PAGES) {
            let records = some.iter().flat_map(|(number, page)| {
                let number = u64::try_from(*number).unwrap().to_le_bytes();
                number.into_iter().chain(page.iter().copied())
            });
            let argument = records.collect();
            let now = Duration::from_nanos(self.subnet.status().await.unwrap().time_ns);
            let put = self.agent.update(&self.directory, "put");
            let put = put.with_arg::<Vec<u8>>(argument);
            let put = put.expire_at(UNIX_EPOCH + now + UPDATE_EXPIRY);
            put.call().and_wait().await.unwrap();
        }
        self.runs(DIRECTORY).await;
    }

    /// Changes what lies there, in one go: nothing happens to the log in between.
    pub async fn rewrites(&self, change: impl FnOnce(&mut Memory)) {
        let mut memory = self.memory().await;
        change(&mut memory);
        self.writes(&memory).await;
    }

    async fn runs(&self, module: &[u8]) {
        let upgraded = self.subnet.upgrade(self.directory, module, Vec::new());
        upgraded.await.unwrap();
    }

    async fn read(&self) -> Memory {
        let mut bytes = Vec::new();
        let mut from = 0_u64;
        loop {
            let pages = self.agent.query(&self.directory, "pages");
            let pages = pages.with_arg(from.to_le_bytes().to_vec());
            let answer = pages.call().await.unwrap();
            let (count, records) = answer.split_at(8);
            bytes.resize(usize_of(count) * PAGE_BYTES, 0);
            for record in records.chunks_exact(RECORD_BYTES) {
                let number = usize_of(&record[..8]);
                bytes[number * PAGE_BYTES..][..PAGE_BYTES].copy_from_slice(&record[8..]);
                from = u64::try_from(number).unwrap() + 1;
            }
            if records.len() < PAGES * RECORD_BYTES {
                return Memory::new(bytes, &self.directory);
            }
        }
    }
}

/// The world's directory.
///
/// # Panics
/// If the network file names none.
#[must_use]
pub fn directory_of(world: &World) -> Principal {
    let directory = world.file().directory().unwrap();
    Principal::try_from_slice(directory.as_slice()).unwrap()
}

fn reader() -> Vec<u8> {
    wat::parse_str(READER).unwrap()
}

fn usize_of(number: &[u8]) -> usize {
    let number = u64::from_le_bytes(number.try_into().unwrap());
    usize::try_from(number).unwrap()
}
