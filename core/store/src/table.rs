//! The tables of a store.

/// What a record is of; the first byte of its name. Retired tags: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Counters and settings of the store itself.
    Meta = 1,
    /// The account's keys.
    Account = 2,
    /// The pinned network.
    Network = 3,
    /// Contacts and what is known of their records.
    Contact = 4,
    /// Conversations.
    Conversation = 5,
    /// Messages by conversation and number.
    Message = 6,
    /// What is to be sent.
    Outbox = 7,
    /// Key packages whose private part is kept.
    KeyPackage = 8,
    /// Evidence.
    Evidence = 9,
    /// What leads to a joined group until it is acknowledged.
    Joining = 10,
    /// This device's own keys.
    Device = 11,
    /// How far a queue was read.
    Cursor = 12,
    /// Entries of the device's inbox.
    Inbox = 13,
    /// What was verified of the transparency log.
    Log = 14,
    /// State of OpenMLS.
    Mls = 32,
}
