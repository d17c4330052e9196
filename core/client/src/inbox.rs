//! The device's inbox and its pool of key packages.

use paigham_group::device::{KEY_PACKAGE_LIFETIME_SECONDS, forget_key_package};
use paigham_store::{Table, WriteSet};
use paigham_wire::chain::inbox_start;
use paigham_wire::codec::{decode, encode};
use paigham_wire::directory::DirectoryError;
use paigham_wire::hash::sha256;
use paigham_wire::identity::IdentityRecord;
use paigham_wire::ids::CanisterId;
use paigham_wire::leaf::InboxLeaf;
use paigham_wire::relay::{
    CreateInbox, Credential, Deposit, Drain, InboxOperation, InboxReply, InboxState, Position,
    ReadInbox, Refill, RelayError,
};
use serde::{Deserialize, Serialize};
use tls_codec::VLBytes;

use crate::client::Client;
use crate::conversation::{Joining, LAGGING_TRIES, LAGGING_WAIT, Sender};
use crate::error::{ClientError, NotVerified};
use crate::log::{is_publishing, keep_record};
use crate::people::next_number;
use crate::verify::{follow_inbox, inbox_leaf};

const SELF: &[u8] = b"self";
const PENDING: &[u8] = b"pending";
const ALL: &[u8] = b"all";
const DEPOSITS: &[u8] = b"deposits";
/// One-time key packages of a full pool.
const POOL_TARGET: u32 = 50;
/// A pool below this is filled up.
const POOL_LOW: u32 = 25;
/// A pool that was not filled for so long gets a new last resort: 30 days.
const REFILL_SECONDS: u64 = 30 * 24 * 3_600;
/// Most private parts that are kept, whoever empties the pool how often.
const KEPT_MAX: usize = 1_000;
/// Answers of the inbox that one sync takes; a flood does not keep it from the rest.
const ROUNDS: usize = 6;
/// How long the private part of a key package is kept: its lifetime and a week, for Welcomes that
/// were made at its end.
const KEPT_SECONDS: u64 = KEY_PACKAGE_LIFETIME_SECONDS + 7 * 24 * 3_600;
/// How long a signed read of the inbox counts.
const READ_SECONDS: u64 = 300;

/// The inbox as the home keeps it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Inbox {
    /// Whether the relay has made it.
    created: bool,
    /// Highest counter used.
    counter: u64,
    /// Newest deposit taken, and the head there.
    seq: u32,
    head: [u8; 32],
    /// One-time key packages left, as last certified.
    left: u32,
    /// When the pool was last filled, seconds since 1970.
    refilled_at: u64,
}

/// A signed call that is repeated, byte for byte, until the relay has answered it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PendingCall {
    refill: bool,
    #[serde(with = "serde_bytes")]
    request: Vec<u8>,
}

/// A key package whose private part is in the home.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptKeyPackage {
    made_at: u64,
    #[serde(with = "serde_bytes")]
    reference: Vec<u8>,
}

/// A deposit for somebody's inbox that is on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OutgoingDeposit {
    /// The relay canister of the inbox.
    #[serde(with = "serde_bytes")]
    pub shard: Vec<u8>,
    /// The encoded request, not paid for yet; the same bytes are the same deposit.
    #[serde(with = "serde_bytes")]
    pub request: Vec<u8>,
}

impl OutgoingDeposit {
    pub fn new(shard: &CanisterId, deposit: &Deposit) -> Self {
        Self {
            shard: shard.as_slice().to_vec(),
            request: encode(deposit),
        }
    }

    /// Queues it behind the others.
    pub fn queue(&self, set: &WriteSet) -> Result<(), ClientError> {
        let number = next_number(set, Table::Outbox, DEPOSITS)?;
        Ok(set.put_at(Table::Outbox, DEPOSITS, number, self)?)
    }
}

impl Client {
    fn inbox(&self, set: &WriteSet) -> Result<Inbox, ClientError> {
        Ok(set.get(Table::Inbox, SELF)?.unwrap_or_default())
    }

    /// Brings the account into being: inbox, key packages, record; what is done is not repeated.
    pub(crate) async fn sync_account(&mut self) -> Result<(), ClientError> {
        self.connection.begin_round();
        let directory = self.connection.directory().clone();
        self.connection.ensure_code(&directory).await?;
        if self.account.registered {
            self.go_on_with_change().await?;
            return self.watch_if_due().await;
        }
        self.create_inbox().await?;
        self.send_pending().await?;
        self.refill_if_due().await?;
        if self.account.is_recovery() {
            self.sync_recovery().await?;
            return self.watch_if_due().await;
        }
        self.keep_create()?;
        self.publish_record().await?;
        self.watch_if_due().await
    }

    /// Gets ready to watch the log: the account is in it, and the directory runs the code that it
    /// may.
    pub(crate) async fn ready_to_watch(&mut self) -> Result<(), ClientError> {
        if !self.account.registered {
            return self.sync_account().await;
        }
        self.connection.begin_round();
        let directory = self.connection.directory().clone();
        self.connection.ensure_code(&directory).await
    }

    /// Has the record that makes the account published, if it is not on its way.
    fn keep_create(&self) -> Result<(), ClientError> {
        let set = self.store.begin();
        if is_publishing(&set)? {
            return Ok(());
        }
        let record = IdentityRecord::decode(&self.account.record)
            .map_err(|_| ClientError::Bug("an own record that does not decode"))?;
        keep_record(&set, &record)?;
        self.commit(set)
    }

    /// As [`Client::watch_what_is_due`]; a log that does not know the head which this device has seen
    /// is looked into.
    async fn watch_if_due(&mut self) -> Result<(), ClientError> {
        match self.watch_what_is_due().await {
            Err(ClientError::Directory(DirectoryError::DoesNotFit)) => {
                let own = self.account.id();
                Err(self.without_known_head(&[own]).await?)
            }
            outcome => outcome,
        }
    }

    /// Watches the own label and the contacts': at the first operation of each start, and then at
    /// least once in each monitoring window.
    async fn watch_what_is_due(&mut self) -> Result<(), ClientError> {
        let now = self.connection.now_ns();
        let window_ns = self
            .trust
            .config()
            .reasonable_monitoring_window
            .saturating_mul(1_000_000);
        let is_due = |at: u64| at.saturating_add(window_ns / 2) <= now;
        if !self.watched_at.is_none_or(is_due) {
            return Ok(());
        }
        self.complete_evidence().await?;
        self.watch_own().await?;
        self.watch_contacts().await?;
        self.watch_handles().await?;
        self.refresh_roots().await?;
        self.watch_network().await?;
        self.watch_auditors().await?;
        self.watched_at = Some(now);
        Ok(())
    }

    async fn create_inbox(&mut self) -> Result<(), ClientError> {
        if self.inbox(&self.store.begin())?.created {
            return Ok(());
        }
        let key = self.account.inbox_key();
        let xwing_key = self.account.xwing_keys(&self.crypto)?.public;
        let operation = InboxOperation::Create {
            xwing_key: &xwing_key,
        };
        let inbox = self.account.inbox_id();
        let relay = self.account.shard()?;
        let request = CreateInbox {
            inbox_key: key.verifying_key().to_bytes(),
            signature: operation.sign(&key, &relay, &inbox),
            xwing_key: xwing_key.into(),
            credential: Credential::none(),
        };
        let created = self
            .connection
            .pay::<InboxState, _>(&relay, "create_inbox", &request)
            .await;
        match created {
            // The id is in the signed record: only another account has another.
            Err(ClientError::Relay(RelayError::Full)) => return Err(ClientError::InboxCrowded),
            answered => answered?,
        };
        let set = self.store.begin();
        let made = Inbox {
            created: true,
            head: inbox_start(&inbox),
            ..Inbox::default()
        };
        set.put(Table::Inbox, SELF, &made)?;
        self.commit(set)
    }

    /// Fills a pool that is low, or whose last resort is old. Who empties it again and again gets
    /// the last resort meanwhile: kept private parts are bounded.
    async fn refill_if_due(&mut self) -> Result<(), ClientError> {
        let set = self.store.begin();
        let inbox = self.inbox(&set)?;
        let kept: Vec<(u64, KeptKeyPackage)> = set.scan(Table::KeyPackage, ALL, 0, u64::MAX)?;
        let age = self
            .connection
            .now_seconds()
            .saturating_sub(inbox.refilled_at);
        let low = inbox.left < POOL_LOW && kept.len() < KEPT_MAX;
        if low || age > REFILL_SECONDS {
            self.refill().await?;
        }
        Ok(())
    }

    /// Makes key packages up to a full pool; their private parts are in the home before the relay
    /// sees the public ones.
    async fn refill(&mut self) -> Result<(), ClientError> {
        self.connection.ensure_time().await?;
        let now = self.connection.now_seconds();
        let set = self.store.begin();
        self.forget_old_key_packages(&set, now)?;
        let mut inbox = self.inbox(&set)?;
        inbox.refilled_at = now;
        let mut number = next_number(&set, Table::KeyPackage, ALL)?;
        let mut make = |last_resort| -> Result<VLBytes, ClientError> {
            let provider = self.crypto.with(set.mls());
            let made = self.device.key_package(&provider, last_resort, now)?;
            let kept = KeptKeyPackage {
                made_at: now,
                reference: made.reference,
            };
            set.put_at(Table::KeyPackage, ALL, number, &kept)?;
            number += 1;
            Ok(made.bytes.into())
        };
        let key_packages = (inbox.left..POOL_TARGET)
            .map(|_| make(false))
            .collect::<Result<Vec<_>, _>>()?;
        let last_resort = Some(make(true)?);
        inbox.counter += 1;
        let operation = InboxOperation::Refill {
            counter: inbox.counter,
            key_packages: &key_packages,
            last_resort: &last_resort,
        };
        let id = self.account.inbox_id();
        let relay = self.account.shard()?;
        let signature = operation.sign(&self.account.inbox_key(), &relay, &id);
        let request = Refill {
            inbox: id,
            counter: inbox.counter,
            key_packages,
            last_resort,
            signature,
        };
        self.put_pending(&set, &inbox, true, encode(&request))?;
        self.commit(set)?;
        self.send_pending().await
    }

    /// Makes one key package that goes into no pool.
    pub(crate) fn keep_key_package(
        &self,
        set: &WriteSet,
        now: u64,
    ) -> Result<Vec<u8>, ClientError> {
        let number = next_number(set, Table::KeyPackage, ALL)?;
        let provider = self.crypto.with(set.mls());
        let made = self.device.key_package(&provider, false, now)?;
        let kept = KeptKeyPackage {
            made_at: now,
            reference: made.reference,
        };
        set.put_at(Table::KeyPackage, ALL, number, &kept)?;
        Ok(made.bytes)
    }

    fn forget_old_key_packages(&self, set: &WriteSet, now: u64) -> Result<(), ClientError> {
        let kept: Vec<(u64, KeptKeyPackage)> = set.scan(Table::KeyPackage, ALL, 0, u64::MAX)?;
        for (number, package) in kept {
            if package.made_at.saturating_add(KEPT_SECONDS) >= now {
                continue;
            }
            forget_key_package(&self.crypto.with(set.mls()), &package.reference)?;
            set.delete_at(Table::KeyPackage, ALL, number);
        }
        Ok(())
    }

    fn put_pending(
        &self,
        set: &WriteSet,
        inbox: &Inbox,
        refill: bool,
        request: Vec<u8>,
    ) -> Result<(), ClientError> {
        set.put(Table::Inbox, SELF, inbox)?;
        set.put(Table::Inbox, PENDING, &PendingCall { refill, request })?;
        Ok(())
    }

    /// Repeats the call of the inbox key that waits for its answer.
    async fn send_pending(&mut self) -> Result<(), ClientError> {
        let waiting: Option<PendingCall> = self.store.begin().get(Table::Inbox, PENDING)?;
        let Some(call) = waiting else { return Ok(()) };
        let method = if call.refill { "refill" } else { "drain" };
        let relay = self.account.shard()?;
        let answer = self
            .connection
            .update::<InboxState, RelayError>(&relay, method, &call.request)
            .await;
        let set = self.store.begin();
        let mut inbox = self.inbox(&set)?;
        match answer {
            Ok(state) => inbox.left = state.one_time_left,
            // Another counter was used since: by a home of which this one is a copy.
            Err(ClientError::Relay(RelayError::StaleCounter(counter))) => inbox.counter = counter,
            // A pool that is full needs nothing.
            Err(ClientError::Relay(RelayError::Full)) => inbox.left = POOL_TARGET,
            Err(other) => return Err(other),
        }
        set.delete(Table::Inbox, PENDING);
        set.put(Table::Inbox, SELF, &inbox)?;
        self.commit(set)
    }

    /// Takes new deposits: pointers become [`Joining`]s, anything else is junk of strangers.
    pub(crate) async fn sync_inbox(&mut self) -> Result<(), ClientError> {
        self.send_pending().await?;
        for _ in 0..ROUNDS {
            let (reply, leaf) = self.read_inbox_in_time().await?;
            let more = self.take_deposits(&reply, &leaf)?;
            self.send_pending().await?;
            if !more {
                break;
            }
        }
        self.refill_if_due().await
    }

    /// Asks a node that is a little behind again.
    async fn read_inbox_in_time(&mut self) -> Result<(InboxReply, InboxLeaf), ClientError> {
        for _ in 0..LAGGING_TRIES {
            match self.read_inbox().await {
                Err(ClientError::NotVerified(NotVerified::Older { .. })) => {
                    tokio::time::sleep(LAGGING_WAIT).await;
                }
                answered => return answered,
            }
        }
        self.read_inbox().await
    }

    async fn read_inbox(&mut self) -> Result<(InboxReply, InboxLeaf), ClientError> {
        let id = self.account.inbox_id();
        let relay = self.account.shard()?;
        let inbox = self.inbox(&self.store.begin())?;
        let from_seq = inbox.seq.saturating_add(1);
        let not_after = self.connection.now_seconds() + READ_SECONDS;
        let not_after = u32::try_from(not_after).unwrap_or(u32::MAX);
        let operation = InboxOperation::Read {
            from_seq,
            not_after,
        };
        let request = ReadInbox {
            inbox: id,
            from_seq,
            not_after,
            signature: operation.sign(&self.account.inbox_key(), &relay, &id),
        };
        let (reply, certified) = self
            .connection
            .read::<InboxReply, RelayError>(&relay, "read_inbox", &request)
            .await?;
        let leaf = inbox_leaf(&certified.witness, &id)?.ok_or(NotVerified::Differs(
            "the own inbox is certified not to exist",
        ))?;
        if leaf.seq < inbox.seq {
            return Err(NotVerified::Older {
                what: "deposit",
                known: inbox.seq.into(),
                found: leaf.seq.into(),
            }
            .into());
        }
        let xwing_key = self.account.xwing_keys(&self.crypto)?.public;
        if leaf.xwing_key_hash != sha256(&xwing_key) {
            return Err(NotVerified::Differs("the own inbox has another key").into());
        }
        Ok((reply, leaf))
    }

    /// Returns whether more deposits wait.
    fn take_deposits(&mut self, reply: &InboxReply, leaf: &InboxLeaf) -> Result<bool, ClientError> {
        let set = self.store.begin();
        let mut inbox = self.inbox(&set)?;
        inbox.left = leaf.one_time_left;
        let mut from = (inbox.seq, inbox.head);
        if leaf.first_seq > inbox.seq.saturating_add(1) {
            // What this home has not read was drained: by a home of which it is a copy.
            from = (leaf.first_seq - 1, leaf.head_before);
        }
        let heads = follow_inbox(from, &reply.deposits, &reply.rest, leaf)?;
        if reply.deposits.is_empty() && !reply.rest.is_empty() {
            // Each answer brings something, or asking would never end.
            return Err(NotVerified::Malformed("read_inbox").into());
        }
        let keys = self.account.xwing_keys(&self.crypto)?;
        let id = self.account.inbox_id();
        for deposit in &reply.deposits {
            let sealed = deposit.sealed.as_slice();
            if let Ok(content) = keys.open(&self.crypto, &id, sealed) {
                let by = match &content.capability {
                    Some(given) if self.gave(given, deposit.accepted_at)? => Sender::Member,
                    _ => Sender::Stranger,
                };
                Joining::new(&content.pointer, by).queue(&set)?;
            } else if let Ok(message) = keys.open_re_add(&self.crypto, &id, sealed) {
                self.take_request(&set, &message)?;
            }
        }
        let last = reply.deposits.last().map(|deposit| deposit.seq);
        if let (Some(seq), Some(head)) = (last, heads.last()) {
            (inbox.seq, inbox.head) = (seq, *head);
            inbox.counter += 1;
            let operation = InboxOperation::Drain {
                counter: inbox.counter,
                up_to: seq,
            };
            let relay = self.account.shard()?;
            let request = Drain {
                inbox: id,
                counter: inbox.counter,
                up_to: seq,
                signature: operation.sign(&self.account.inbox_key(), &relay, &id),
            };
            self.put_pending(&set, &inbox, false, encode(&request))?;
        } else {
            set.put(Table::Inbox, SELF, &inbox)?;
        }
        self.commit(set)?;
        Ok(!reply.rest.is_empty())
    }

    /// Sends the deposits that wait, in order; those to a relay that does not answer go on waiting.
    pub(crate) async fn send_deposits(&mut self) -> Result<(), ClientError> {
        let waiting: Vec<(u64, OutgoingDeposit)> =
            self.store
                .begin()
                .scan(Table::Outbox, DEPOSITS, 0, u64::MAX)?;
        for (number, deposit) in waiting {
            let shard = CanisterId::new(&deposit.shard)
                .ok_or(ClientError::Bug("a deposit for no canister"))?;
            let request: Deposit = decode(&deposit.request)
                .map_err(|_| ClientError::Bug("a deposit that does not decode"))?;
            let answer = self
                .connection
                .pay::<Position, _>(&shard, "deposit", &request)
                .await;
            match answer {
                // An inbox that is gone takes nothing any more; one that is full may later.
                Ok(_) | Err(ClientError::Relay(RelayError::NoSuchInbox)) => {}
                Err(ClientError::Relay(RelayError::Full)) => continue,
                Err(other) => {
                    self.unless_relay_missing(Err::<(), _>(other))?;
                    continue;
                }
            }
            let set = self.store.begin();
            set.delete_at(Table::Outbox, DEPOSITS, number);
            self.commit(set)?;
        }
        Ok(())
    }
}
