//! Key packages: filled by the device, claimed one by one, with a last resort.

use ic_stable_structures::Memory;
use paigham_wire::codec::decode;
use paigham_wire::hash::blake3;
use paigham_wire::ids::InboxId;
use paigham_wire::relay::{
    CLAIMS_REMEMBERED, Claim, Claimed, InboxOperation, InboxState, KEY_PACKAGE_MAX_BYTES,
    POOL_MAX_KEY_PACKAGES, PoolReply, PoolRequest, Position, Refill, RelayError,
};
use paigham_wire::ticket::TicketRefusal;
use paigham_wire::ticket::desk::Checked;
use tls_codec::VLBytes;

use crate::inboxes::Admission;
use crate::records::PoolRecord;
use crate::relay::{Relay, get, numbered, paired, put};

impl<M: Memory> Relay<M> {
    /// Adds key packages behind those there, and replaces the last resort.
    pub(crate) fn refill(&mut self, request: &[u8]) -> Result<InboxState, RelayError> {
        let request: Refill = decode(request).map_err(|_| RelayError::Malformed)?;
        let inbox = request.inbox;
        let mut record = self.inbox(&inbox).ok_or(RelayError::NoSuchInbox)?;
        let operation = InboxOperation::Refill {
            counter: request.counter,
            key_packages: &request.key_packages,
            last_resort: &request.last_resort,
        };
        if !self.check_counter(
            &record,
            &inbox,
            &operation,
            request.counter,
            &request.signature,
        )? {
            return Ok(record.state());
        }
        let fits =
            |package: &VLBytes| (1..=KEY_PACKAGE_MAX_BYTES).contains(&package.as_slice().len());
        if !request
            .key_packages
            .iter()
            .chain(&request.last_resort)
            .all(fits)
        {
            return Err(RelayError::TooLarge);
        }
        let left = record.leaf.one_time_left as usize;
        if left + request.key_packages.len() > POOL_MAX_KEY_PACKAGES {
            return Err(RelayError::Full);
        }
        if let Some(package) = request.last_resort {
            record.leaf.last_resort_hash = blake3(package.as_slice());
            let mut pool = self.pool_record(&inbox)?;
            pool.last_resort = package;
            put(&mut self.pools, inbox.0, &pool);
        }
        for package in &request.key_packages {
            let key = numbered(&inbox.0, record.next_package);
            self.packages.insert(key, package.as_slice().to_vec());
            record.next_package = record.next_package.wrapping_add(1);
            record.leaf.one_time_left += 1;
        }
        record.leaf.counter = request.counter;
        record.last_signature = request.signature;
        self.put_inbox(&inbox, &record);
        Ok(record.state())
    }

    /// Takes the oldest one-time key package out; the same claim id gets the same one again.
    pub(crate) fn claim(&mut self, request: &[u8], now: u64) -> Result<Claimed, RelayError> {
        let request: Claim = decode(request).map_err(|_| RelayError::Malformed)?;
        let inbox = request.inbox;
        let mut record = self.inbox(&inbox).ok_or(RelayError::NoSuchInbox)?;
        let key = &record.inbox_key;
        let admission = self.check_credential(&request, &request.credential, &inbox, key, now)?;
        let claim_key = paired(&inbox.0, &request.claim_id);
        if let Some(package) = self.claims.get(&claim_key) {
            return Ok(Claimed {
                key_package: Some(package.into()),
            });
        }
        let receipt = match admission {
            // It took a key package that is no longer remembered.
            Admission::Stranger(Checked::Repeat(_)) => return Err(TicketRefusal::Spent.into()),
            Admission::Stranger(Checked::Fresh(receipt)) => Some(receipt),
            Admission::Contact => None,
        };
        if record.leaf.one_time_left == 0 {
            return Ok(Claimed { key_package: None });
        }
        let mut pool = self.pool_record(&inbox)?;
        let package = self
            .packages
            .remove(&numbered(&inbox.0, record.first_package))
            .ok_or(RelayError::Full)?;
        record.first_package = record.first_package.wrapping_add(1);
        record.leaf.one_time_left -= 1;
        record.leaf.claimed = record.leaf.claimed.saturating_add(1);
        pool.claims.push(request.claim_id);
        if pool.claims.len() > CLAIMS_REMEMBERED {
            let oldest = pool.claims.remove(0);
            self.claims.remove(&paired(&inbox.0, &oldest));
        }
        put(&mut self.pools, inbox.0, &pool);
        self.claims.insert(claim_key, package.clone());
        if let Some(receipt) = receipt {
            let taken = Position {
                seq: record.leaf.claimed,
                accepted_at: now,
            };
            self.spend(&receipt, &taken);
        }
        self.put_inbox(&inbox, &record);
        Ok(Claimed {
            key_package: Some(package.into()),
        })
    }

    /// What an inbox keeps for strangers.
    pub(crate) fn pool_record(&self, inbox: &InboxId) -> Result<PoolRecord, RelayError> {
        get(&self.pools, &inbox.0).ok_or(RelayError::NoSuchInbox)
    }

    /// X-Wing key and last resort, with a witness; anybody may ask.
    pub(crate) fn pool(
        &self,
        request: &[u8],
        certificate: Vec<u8>,
    ) -> Result<PoolReply, RelayError> {
        let request: PoolRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        let pool = self.pool_record(&request.inbox)?;
        let witness = self.witness(&[request.inbox.0]).into();
        Ok(PoolReply {
            certificate: certificate.into(),
            witness,
            xwing_key: pool.xwing_key,
            last_resort: pool.last_resort,
        })
    }
}
