//! The kit that stories over several crates are told with.
//!
//! ```text
//! person ── in process, or HTTP on loopback ──▶ MaliciousNode ──▶ the subnet's router
//!    └ FlakyTransport dies around a request       honest until told to lie
//! ```
//! A [`World`](world::World) is one development network and the node that stands before it. Nothing
//! here listens beyond 127.0.0.1, and every story ends after [`story::STORY_MAX`].

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a kit for tests: what cannot be done fails the test"
)]

pub mod bare;
pub mod controller;
pub mod flaky;
pub mod ic;
pub mod kill;
pub mod logged;
pub mod model;
pub mod node;
pub mod person;
pub mod program;
pub mod second_verifier;
pub mod story;
pub mod thief;
pub mod world;
