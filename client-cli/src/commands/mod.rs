//! One file for each family of commands.

pub mod audit;
pub mod chat;
pub mod contacts;
pub mod group;
pub mod history;
pub mod lookup;
pub mod network;
pub mod problems;
pub mod register;
pub mod requests;
pub mod send;
pub mod sync;
pub mod verify;
pub mod whoami;
