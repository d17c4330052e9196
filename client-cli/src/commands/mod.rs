//! One file for each family of commands.

pub mod chat;
pub mod contacts;
pub mod group;
pub mod history;
pub mod network;
pub mod problems;
pub mod register;
pub mod send;
pub mod sync;
pub mod whoami;
