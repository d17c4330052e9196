//! Bringing devices in: their key packages, and the pointers that tell them.

use paigham_group::commit::JoinerPointer;
use paigham_group::device::CheckedKeyPackage;
use paigham_group::pointer::seal_pointer;
use paigham_group::proof::{LeafClaim, check_device};
use paigham_group::{GroupError, Member};
use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::PointerContent;
use paigham_wire::hash::{blake3, sha256};
use paigham_wire::identity::DeviceEntry;
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, InboxId, QueueId};
use paigham_wire::relay::{
    Claim, Claimed, Credential, Deposit, PoolReply, PoolRequest, RelayError,
};
use serde::{Deserialize, Serialize};

use super::Conversation;
use super::change::Intent;
use super::commit::Prepared;
use crate::account::random;
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::inbox::OutgoingDeposit;
use crate::log::LookedUp;
use crate::verify::inbox_leaf;

/// What is needed to add one device and tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClaimedDevice {
    device: [u8; 16],
    inbox: [u8; 32],
    #[serde(with = "serde_bytes")]
    shard: Vec<u8>,
    #[serde(with = "serde_bytes")]
    xwing_key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    key_package: Vec<u8>,
    /// The encoded capability that the device gave; empty if it gave none.
    #[serde(default, with = "serde_bytes")]
    capability: Vec<u8>,
}

impl Client {
    /// Looks the accounts up and claims a key package of each of their devices that is not in yet.
    pub(super) async fn prepare_add(
        &mut self,
        queue: QueueId,
        members: &[Member],
        accounts: &[[u8; 16]],
        claimed: &[ClaimedDevice],
        prepared: &mut Prepared,
    ) -> Result<(), ClientError> {
        let mut accounts: Vec<_> = accounts.iter().copied().map(AccountId).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let seen = self.look_up(&accounts).await?;
        let mut claimed = claimed.to_vec();
        for one in seen {
            let account = one.state.account();
            let devices = one.state.at(one.now_ns).devices;
            if devices.is_empty() || one.state.is_deleted(one.now_ns) {
                return Err(ClientError::NoDevice(account));
            }
            let is_in = |device: &DeviceEntry| {
                members
                    .iter()
                    .any(|m| m.account() == account && m.device() == device.device)
            };
            let before = prepared.joiners.len();
            for device in devices.iter().filter(|device| !is_in(device)) {
                let (package, joiner) = self.package_of(queue, &one, device, &mut claimed).await?;
                prepared.change.add.push(package);
                prepared.joiners.push(joiner);
            }
            if prepared.joiners.len() > before {
                let proved = self.prove(account).await?;
                // Devices that came or went meanwhile: the change is made anew.
                if proved.history.state() != &one.state {
                    return Err(ClientError::Unfinished("the records changed meanwhile"));
                }
                prepared.proved.push(proved);
            }
        }
        Ok(())
    }

    /// A checked key package of a device: one that was claimed before, or a new one.
    async fn package_of(
        &mut self,
        queue: QueueId,
        account: &LookedUp,
        device: &DeviceEntry,
        claimed: &mut Vec<ClaimedDevice>,
    ) -> Result<(CheckedKeyPackage, ClaimedDevice), ClientError> {
        let kept = claimed
            .iter()
            .find(|one| one.device == device.device.0 && one.inbox == device.inbox.0);
        if let Some(kept) = kept
            && let Ok(package) = self.check_package(&kept.key_package, account, device)
        {
            return Ok((package, kept.clone()));
        }
        let (mut new, last_resort) = self.claim(account.state.account(), device).await?;
        let package = match self.check_package(&new.key_package, account, device) {
            // Too old, or not the device's: the pool is somebody else's word, as is the last resort.
            Err(ClientError::Group(GroupError::KeyPackage(_))) => {
                new.key_package = last_resort;
                self.check_package(&new.key_package, account, device)?
            }
            checked => checked?,
        };
        claimed.retain(|one| one.device != new.device);
        claimed.push(new.clone());
        self.keep_claimed(queue, claimed)?;
        Ok((package, new))
    }

    /// A lost race does not cost the others another key package each.
    fn keep_claimed(&mut self, queue: QueueId, now: &[ClaimedDevice]) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        if let Some(Intent::Add { claimed, .. }) = conversation.intents.first_mut() {
            *claimed = now.to_vec();
        }
        conversation.save(&set)?;
        self.commit(set)
    }

    fn check_package(
        &self,
        bytes: &[u8],
        account: &LookedUp,
        device: &DeviceEntry,
    ) -> Result<CheckedKeyPackage, ClientError> {
        let now = self.connection.now_seconds();
        let package = CheckedKeyPackage::check(&self.crypto, bytes, now)?;
        let claim = LeafClaim {
            account: package.credential.account,
            device: package.credential.device,
            leaf_key: package.leaf_key,
        };
        check_device(&account.state, &claim, account.now_ns)?;
        if claim.device != device.device {
            return Err(GroupError::KeyPackage("it is another device's").into());
        }
        Ok(package)
    }

    /// Takes a one-time key package of a device, if there is one, and its inbox key; and gives its
    /// last resort.
    async fn claim(
        &self,
        account: AccountId,
        device: &DeviceEntry,
    ) -> Result<(ClaimedDevice, Vec<u8>), ClientError> {
        self.check_relay(&device.shard)?;
        let request = PoolRequest {
            inbox: device.inbox,
        };
        let (pool, certified) = self
            .connection
            .read::<PoolReply, RelayError>(&device.shard, "pool", &request)
            .await?;
        let leaf = inbox_leaf(&certified.witness, &device.inbox)?.ok_or(NotVerified::Differs(
            "a device's inbox is certified not to exist",
        ))?;
        let xwing_key = pool.xwing_key.as_slice();
        let key_hash = sha256(xwing_key);
        if key_hash != leaf.xwing_key_hash || key_hash != device.xwing_key_hash {
            return Err(NotVerified::Differs("an inbox key is not that of the record").into());
        }
        let given = self.capability_of(account, device)?;
        let credential = given.as_ref().map(Credential::capability);
        let claim = Claim {
            inbox: device.inbox,
            claim_id: random()?,
            credential: credential.unwrap_or_else(Credential::none),
        };
        let one_time = self
            .connection
            .pay::<Claimed, _>(&device.shard, "claim", &claim)
            .await?;
        let last_resort = pool.last_resort.as_slice();
        if blake3(last_resort) != leaf.last_resort_hash && !last_resort.is_empty() {
            return Err(NotVerified::Differs("a last resort is not the certified one").into());
        }
        let key_package = match one_time.key_package {
            Some(package) => package.into(),
            None if last_resort.is_empty() => {
                return Err(GroupError::KeyPackage("none is left").into());
            }
            None => last_resort.to_vec(),
        };
        let claimed = ClaimedDevice {
            device: device.device.0,
            inbox: device.inbox.0,
            shard: device.shard.as_slice().to_vec(),
            xwing_key: xwing_key.to_vec(),
            key_package,
            capability: given.as_ref().map(encode).unwrap_or_default(),
        };
        Ok((claimed, last_resort.to_vec()))
    }

    pub(super) fn pointer_deposit(
        &self,
        pointer: &JoinerPointer,
        joiners: &[ClaimedDevice],
    ) -> Result<OutgoingDeposit, ClientError> {
        let joiner = joiners
            .iter()
            .find(|joiner| DeviceId(joiner.device) == pointer.device)
            .ok_or(ClientError::Bug("a pointer for nobody"))?;
        let inbox = InboxId(joiner.inbox);
        let content = PointerContent {
            pointer: pointer.pointer.clone(),
            capability: decode(&joiner.capability).ok(),
        };
        let sealed = seal_pointer(&self.crypto, &inbox, &joiner.xwing_key, &content)?;
        let credential = content.capability.as_ref().map(Credential::capability);
        let deposit = Deposit {
            inbox,
            credential: credential.unwrap_or_else(Credential::none),
            sealed: sealed.into(),
        };
        let shard = CanisterId::new(&joiner.shard);
        let shard = shard.ok_or(ClientError::Bug("an inbox on no canister"))?;
        Ok(OutgoingDeposit::new(&shard, &deposit))
    }
}
