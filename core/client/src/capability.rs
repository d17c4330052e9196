//! Leave to write into an inbox: every member of a group gets that of every other device, so that
//! what members bring to each other is told apart from what strangers bring (`spec/client.md` §8).

use paigham_group::Member;
use paigham_store::{Table, WriteSet};
use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::InboxCapability;
use paigham_wire::identity::DeviceEntry;
use paigham_wire::ids::{AccountId, DeviceId};
use paigham_wire::relay::{Capability, Credential, InboxOperation};
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::ClientError;

/// How long a capability counts: 90 days. Nothing else ends it.
const LASTS_SECONDS: u64 = 90 * 24 * 3_600;
/// One that ends within 30 days is given anew with the next text.
const RENEW_SECONDS: u64 = 30 * 24 * 3_600;
/// One that ends within ten minutes is not used any more.
const MARGIN_SECONDS: u64 = 600;

/// What a device of somebody else gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    #[serde(with = "serde_bytes")]
    capability: Vec<u8>,
}

/// One place for each device of each account, whatever they send: a home grows by no flood.
fn place(account: AccountId, device: DeviceId) -> Vec<u8> {
    [&b"capability"[..], &account.0, &device.0].concat()
}

impl Client {
    /// The own device's capability, if the members of a conversation have none that lasts: theirs
    /// ends at `handed_until`, in seconds since 1970.
    pub(crate) fn capability_due(
        &self,
        handed_until: u64,
    ) -> Result<Option<InboxCapability>, ClientError> {
        let now = self.connection.now_seconds();
        if handed_until > now + RENEW_SECONDS {
            return Ok(None);
        }
        let not_after = u32::try_from(now + LASTS_SECONDS).unwrap_or(u32::MAX);
        let (key, inbox) = (self.account.inbox_key(), self.account.inbox_id());
        let canister = self.account.shard()?;
        let operation = InboxOperation::Capability { not_after };
        let signature = operation.sign(&key, &canister, &inbox);
        Ok(Some(InboxCapability {
            canister,
            inbox_key: key.verifying_key().to_bytes(),
            capability: Capability {
                not_after,
                signature,
            },
        }))
    }

    /// Keeps what a member's device gave, if its inbox key signed it; the newest counts.
    pub(crate) fn keep_capability(
        &self,
        set: &WriteSet,
        from: &Member,
        given: &InboxCapability,
    ) -> Result<(), ClientError> {
        if !given.is_signed() {
            return Ok(());
        }
        let kept = Kept {
            capability: encode(given),
        };
        let place = place(from.account(), from.device());
        Ok(set.put(Table::Contact, &place, &kept)?)
    }

    /// Whether a capability is one that this device gave, and lasted at a certified time.
    pub(crate) fn gave(&self, given: &Capability, at_ns: u64) -> Result<bool, ClientError> {
        let not_after = given.not_after;
        let operation = InboxOperation::Capability { not_after };
        let key = self.account.inbox_key().verifying_key().to_bytes();
        let (canister, inbox) = (self.account.shard()?, self.account.inbox_id());
        let signed = operation.verify(&key, &given.signature, &canister, &inbox);
        Ok(signed && u64::from(not_after) >= at_ns / 1_000_000_000)
    }

    /// The capability of a device, if it gave one that lasts. The device is as the directory
    /// certifies it.
    pub(crate) fn capability_of(
        &self,
        account: AccountId,
        device: &DeviceEntry,
    ) -> Result<Option<Capability>, ClientError> {
        let place = place(account, device.device);
        let kept: Option<Kept> = self.store.begin().get(Table::Contact, &place)?;
        let given = kept.and_then(|kept| decode::<InboxCapability>(&kept.capability).ok());
        let now = self.connection.now_seconds();
        let counts = |given: &InboxCapability| {
            given.inbox() == device.inbox
                && given.canister == device.shard
                && u64::from(given.capability.not_after) > now + MARGIN_SECONDS
        };
        Ok(given.filter(counts).map(|given| given.capability))
    }
}

/// Whether a credential can be tried without work.
pub(crate) fn is_capability(credential: &Credential) -> bool {
    credential.credential_type == paigham_wire::relay::credential::CAPABILITY
}
