//! One file for each family of commands.

pub mod account;
pub mod audit;
pub mod chat;
pub mod contacts;
pub mod group;
pub mod handle;
pub mod history;
mod kit;
pub mod lookup;
pub mod monitor;
pub mod network;
pub mod problems;
pub mod register;
pub mod requests;
pub mod send;
pub mod sync;
pub mod verify;
pub mod whoami;
