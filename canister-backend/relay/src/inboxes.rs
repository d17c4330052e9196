//! Inboxes: deposits for a device, read and drained by its inbox key.

use ic_stable_structures::Memory;
use paigham_wire::chain::{EntryDigest, inbox_next, inbox_start};
use paigham_wire::codec::decode;
use paigham_wire::frame::NOT_AFTER_MAX_AHEAD_SECONDS;
use paigham_wire::hash::{blake3, sha256};
use paigham_wire::ids::InboxId;
use paigham_wire::leaf::InboxLeaf;
use paigham_wire::relay::{
    Capability, CreateInbox, Credential, DEPOSIT_MAX_BYTES, Deposit, DepositEntry, Drain,
    InboxOperation, InboxReply, InboxState, Position, ReadInbox, RelayError, SignatureBytes,
    XWING_KEY_BYTES, credential,
};
use paigham_wire::ticket::Paid;
use paigham_wire::ticket::desk::Checked;

use crate::limits::{COUNTER_MAX_STEP, INBOX_MAX_DEPOSITS, READ_MAX_DEPOSITS};
use crate::records::{InboxRecord, PoolRecord, StoredDeposit};
use crate::relay::{Relay, get, numbered, paired, put};

const NS_PER_SECOND: u64 = 1_000_000_000;

/// Who deposits or claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Somebody with a capability of the owner.
    Contact,
    /// Somebody with a ticket.
    Stranger(Checked),
}

impl<M: Memory> Relay<M> {
    /// Makes an inbox; a repeat gets the same reply.
    pub(crate) fn create_inbox(
        &mut self,
        request: &[u8],
        now: u64,
    ) -> Result<InboxState, RelayError> {
        let request: CreateInbox = decode(request).map_err(|_| RelayError::Malformed)?;
        let xwing_key = request.xwing_key.as_slice();
        if xwing_key.len() != XWING_KEY_BYTES {
            return Err(RelayError::Malformed);
        }
        let inbox = InboxId::derive(&request.inbox_key);
        let operation = InboxOperation::Create { xwing_key };
        if !operation.verify(
            &request.inbox_key,
            &request.signature,
            &self.canister,
            &inbox,
        ) {
            return Err(RelayError::WrongSignature);
        }
        if let Some(record) = self.inbox(&inbox) {
            let same = self.pool_record(&inbox)?.xwing_key == request.xwing_key;
            return if same {
                Ok(record.state())
            } else {
                Err(RelayError::Exists)
            };
        }
        let receipt = self.check_new(&request, &request.credential, now)?;
        let head = inbox_start(&inbox);
        let leaf = InboxLeaf {
            seq: 0,
            head,
            first_seq: 1,
            head_before: head,
            counter: 0,
            xwing_key_hash: sha256(xwing_key),
            one_time_left: 0,
            claimed: 0,
            last_resort_hash: [0; 32],
        };
        let record = InboxRecord {
            leaf,
            inbox_key: request.inbox_key,
            first_package: 0,
            next_package: 0,
            last_signature: [0; 64],
            strangers: 0,
        };
        self.add_inbox(&inbox, &record)?;
        self.spend_new(&receipt, now);
        let pool = PoolRecord {
            xwing_key: request.xwing_key,
            last_resort: Vec::new().into(),
            claims: Vec::new(),
        };
        put(&mut self.pools, inbox.0, &pool);
        Ok(record.state())
    }

    /// Whether a stranger or contact may deposit or claim.
    pub(crate) fn check_credential<R: Paid>(
        &self,
        request: &R,
        offered: &Credential,
        inbox: &InboxId,
        inbox_key: &[u8; 32],
        now: u64,
    ) -> Result<Admission, RelayError> {
        match offered.credential_type {
            credential::CAPABILITY => {
                let capability: Capability =
                    decode(offered.data.as_slice()).map_err(|_| RelayError::Credential)?;
                let not_after = capability.not_after;
                let operation = InboxOperation::Capability { not_after };
                let holds =
                    operation.verify(inbox_key, &capability.signature, &self.canister, inbox);
                let lasts = u64::from(not_after) >= now / NS_PER_SECOND;
                if holds && lasts {
                    Ok(Admission::Contact)
                } else {
                    Err(RelayError::Credential)
                }
            }
            _ => self
                .check_ticket(request, offered, now)
                .map(Admission::Stranger),
        }
    }

    /// Stores a deposit; one that is still retained, or was paid for with the same ticket, keeps
    /// its place.
    pub(crate) fn deposit(&mut self, request: &[u8], now: u64) -> Result<Position, RelayError> {
        let request: Deposit = decode(request).map_err(|_| RelayError::Malformed)?;
        if request.sealed.as_slice().len() > DEPOSIT_MAX_BYTES {
            return Err(RelayError::TooLarge);
        }
        let inbox = request.inbox;
        let mut record = self.inbox(&inbox).ok_or(RelayError::NoSuchInbox)?;
        let key = &record.inbox_key;
        let admission = self.check_credential(&request, &request.credential, &inbox, key, now)?;
        let receipt = match admission {
            Admission::Stranger(Checked::Repeat(position)) => return Ok(position),
            Admission::Stranger(Checked::Fresh(receipt)) => Some(receipt),
            Admission::Contact => None,
        };
        // One look-up, however full the inbox is: strangers may repeat it at will.
        let hash = blake3(request.sealed.as_slice());
        let place = paired(&inbox.0, &hash);
        if let Some(position) = get(&self.deposit_places, &place) {
            // Sent again with other work: that is spent, or looking for it would cost nothing.
            if let Some(receipt) = receipt {
                self.spend(&receipt, &position);
            }
            return Ok(position);
        }
        let strangers_may = self.administration.settings().quotas.stranger_deposits;
        if receipt.is_some() && record.strangers >= strangers_may {
            return Err(RelayError::Full);
        }
        let leaf = &mut record.leaf;
        // One below the largest number: the first retained one is one behind the newest when all
        // are drained.
        if leaf.seq - (leaf.first_seq - 1) >= INBOX_MAX_DEPOSITS || leaf.seq >= u32::MAX - 1 {
            return Err(RelayError::Full);
        }
        leaf.seq += 1;
        let seq = leaf.seq;
        leaf.head = inbox_next(&leaf.head, seq, now, &hash);
        let position = Position {
            seq,
            accepted_at: now,
        };
        let stored = StoredDeposit {
            accepted_at: now,
            stranger: u8::from(receipt.is_some()),
            sealed: request.sealed,
        };
        put(&mut self.deposits, numbered(&inbox.0, seq), &stored);
        put(&mut self.deposit_places, place, &position);
        if let Some(receipt) = receipt {
            record.strangers += 1;
            self.spend(&receipt, &position);
        }
        self.put_inbox(&inbox, &record);
        Ok(position)
    }

    /// Retained deposits from one on, in one walk.
    fn retained(
        &self,
        inbox: &InboxId,
        leaf: &InboxLeaf,
        from: u32,
    ) -> impl Iterator<Item = (u32, StoredDeposit)> {
        let from = from.max(leaf.first_seq);
        let stored = (from <= leaf.seq).then(|| {
            let range = numbered(&inbox.0, from)..=numbered(&inbox.0, leaf.seq);
            self.deposits.values_range(range)
        });
        let decoded = stored
            .into_iter()
            .flatten()
            .map_while(|bytes| decode(&bytes).ok());
        (from..=leaf.seq).zip(decoded)
    }

    /// Shows deposits to the owner, with a witness.
    pub(crate) fn read_inbox(
        &self,
        request: &[u8],
        certificate: Vec<u8>,
        now: u64,
    ) -> Result<InboxReply, RelayError> {
        let request: ReadInbox = decode(request).map_err(|_| RelayError::Malformed)?;
        let inbox = request.inbox;
        let record = self.inbox(&inbox).ok_or(RelayError::NoSuchInbox)?;
        let (from_seq, not_after) = (request.from_seq, request.not_after);
        let operation = InboxOperation::Read {
            from_seq,
            not_after,
        };
        if !operation.verify(
            &record.inbox_key,
            &request.signature,
            &self.canister,
            &inbox,
        ) {
            return Err(RelayError::WrongSignature);
        }
        let now = now / NS_PER_SECOND;
        let latest = now + u64::from(NOT_AFTER_MAX_AHEAD_SECONDS);
        if u64::from(not_after) < now || u64::from(not_after) > latest {
            return Err(RelayError::NotAfter);
        }
        let mut deposits = Vec::new();
        let mut rest = Vec::new();
        for (
            seq,
            StoredDeposit {
                accepted_at,
                sealed,
                ..
            },
        ) in self.retained(&inbox, &record.leaf, from_seq)
        {
            if deposits.len() < READ_MAX_DEPOSITS {
                deposits.push(DepositEntry {
                    seq,
                    accepted_at,
                    sealed,
                });
            } else {
                rest.push(EntryDigest {
                    accepted_at,
                    post_hash: blake3(sealed.as_slice()),
                });
            }
        }
        let witness = self.witness(&[inbox.0]).into();
        Ok(InboxReply {
            certificate: certificate.into(),
            witness,
            deposits,
            rest,
        })
    }

    /// Forgets deposits up to one.
    pub(crate) fn drain(&mut self, request: &[u8]) -> Result<InboxState, RelayError> {
        let request: Drain = decode(request).map_err(|_| RelayError::Malformed)?;
        let inbox = request.inbox;
        let mut record = self.inbox(&inbox).ok_or(RelayError::NoSuchInbox)?;
        let Drain { counter, up_to, .. } = request;
        let operation = InboxOperation::Drain { counter, up_to };
        if !self.check_counter(&record, &inbox, &operation, counter, &request.signature)? {
            return Ok(record.state());
        }
        let leaf = &mut record.leaf;
        while leaf.first_seq <= up_to.min(leaf.seq) {
            let key = numbered(&inbox.0, leaf.first_seq);
            if let Some(stored) = get::<36, M, StoredDeposit>(&self.deposits, &key) {
                let hash = blake3(stored.sealed.as_slice());
                record.strangers = record.strangers.saturating_sub(stored.stranger.into());
                leaf.head_before =
                    inbox_next(&leaf.head_before, leaf.first_seq, stored.accepted_at, &hash);
                self.deposit_places.remove(&paired(&inbox.0, &hash));
            }
            self.deposits.remove(&key);
            leaf.first_seq += 1;
        }
        leaf.counter = counter;
        record.last_signature = request.signature;
        self.put_inbox(&inbox, &record);
        Ok(record.state())
    }

    /// True for a new operation, false for a repeat of the newest one.
    pub(crate) fn check_counter(
        &self,
        record: &InboxRecord,
        inbox: &InboxId,
        operation: &InboxOperation<'_>,
        counter: u64,
        signature: &SignatureBytes,
    ) -> Result<bool, RelayError> {
        if !operation.verify(&record.inbox_key, signature, &self.canister, inbox) {
            return Err(RelayError::WrongSignature);
        }
        if counter == record.leaf.counter && *signature == record.last_signature {
            return Ok(false);
        }
        let last = record.leaf.counter;
        if counter <= last || counter - last > COUNTER_MAX_STEP {
            return Err(RelayError::StaleCounter(last));
        }
        Ok(true)
    }
}
