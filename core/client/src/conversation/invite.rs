//! Bringing devices in: their key packages, and the pointers that tell them.

use paigham_group::commit::JoinerPointer;
use paigham_group::device::CheckedKeyPackage;
use paigham_group::pointer::seal_pointer;
use paigham_group::proof::{LeafClaim, check_device};
use paigham_group::reset::DEVICES_A_COMMIT;
use paigham_group::{Group, GroupError, Member};
use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::{GroupPolicy, PointerContent};
use paigham_wire::hash::{blake3, sha256};
use paigham_wire::identity::DeviceEntry;
use paigham_wire::ids::{AccountId, CanisterId, DeviceId, InboxId, QueueId};
use paigham_wire::leaf::InboxLeaf;
use paigham_wire::relay::{
    Claim, Claimed, Credential, Deposit, PoolReply, PoolRequest, RelayError,
};
use paigham_wire::reset::ReAddMessage;
use serde::{Deserialize, Serialize};

use super::Conversation;
use super::change::{Intent, OldDevice};
use super::commit::Prepared;
use crate::account::random;
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::inbox::OutgoingDeposit;
use crate::log::LookedUp;
use crate::verify::inbox_leaf;

/// What a commit of a reset is made from.
pub(super) struct ResetDue<'a> {
    /// All that are to come over.
    pub devices: &'a [OldDevice],
    /// Key packages that were claimed for it.
    pub claimed: &'a [ClaimedDevice],
    /// The policy as it stands.
    pub policy: GroupPolicy,
}

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
    pub(crate) async fn prepare_add(
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

    /// The next devices of a group that stopped, as many as one commit takes. Those that the log has
    /// revoked are left out, and those that cannot be brought in: an accomplice must not keep a
    /// group from going on.
    pub(super) async fn prepare_reset(
        &mut self,
        queue: QueueId,
        members: &[Member],
        due: ResetDue<'_>,
        prepared: &mut Prepared,
    ) -> Result<(), ClientError> {
        let left_out = self.left_out(queue)?;
        let is_due = |old: &&OldDevice| {
            let is_in = |m: &Member| m.account == old.account && m.device == old.device;
            !left_out.contains(old) && !members.iter().any(is_in)
        };
        let missing: Vec<_> = due.devices.iter().filter(is_due).copied().collect();
        let next = &missing[..missing.len().min(DEVICES_A_COMMIT)];
        let mut accounts: Vec<_> = next.iter().map(|old| AccountId(old.account)).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let mut claimed = due.claimed.to_vec();
        for one in self.look_up(&accounts).await? {
            let before = prepared.joiners.len();
            for old in next {
                let claim = LeafClaim {
                    account: AccountId(old.account),
                    device: DeviceId(old.device),
                    leaf_key: old.leaf_key,
                };
                if claim.account != one.state.account() {
                    continue;
                }
                let brought = self.bring_over(queue, &one, &claim, &mut claimed).await;
                match brought {
                    Ok((package, joiner)) => {
                        prepared.change.add.push(package);
                        prepared.joiners.push(joiner);
                    }
                    Err(error) if error.may_heal() => return Err(error),
                    Err(_) => self.leave_out(queue, *old)?,
                }
            }
            if prepared.joiners.len() > before {
                let proved = self.prove(one.state.account()).await?;
                // Devices that came or went meanwhile: the change is made anew.
                if proved.history.state() != &one.state {
                    return Err(ClientError::Unfinished("the records changed meanwhile"));
                }
                prepared.proved.push(proved);
            }
        }
        if missing.len() <= DEVICES_A_COMMIT {
            let settled = self.policy_of_reset(queue)?;
            prepared.change.policy = (settled != due.policy).then_some(settled);
        }
        Ok(())
    }

    async fn bring_over(
        &mut self,
        queue: QueueId,
        account: &LookedUp,
        claim: &LeafClaim,
        claimed: &mut Vec<ClaimedDevice>,
    ) -> Result<(CheckedKeyPackage, ClaimedDevice), ClientError> {
        check_device(&account.state, claim, account.now_ns)?;
        let devices = account.state.at(account.now_ns).devices;
        let device = devices.iter().find(|entry| entry.device == claim.device);
        let device = device.ok_or(ClientError::NoDevice(claim.account))?;
        self.package_of(queue, account, device, claimed).await
    }

    fn left_out(&self, queue: QueueId) -> Result<Vec<OldDevice>, ClientError> {
        let conversation = Conversation::load(&self.store.begin(), queue)?;
        Ok(match conversation.intents.into_iter().next() {
            Some(Intent::Reset { left_out, .. }) => left_out,
            _ => Vec::new(),
        })
    }

    fn leave_out(&self, queue: QueueId, device: OldDevice) -> Result<(), ClientError> {
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        if let Some(Intent::Reset { left_out, .. }) = conversation.intents.first_mut() {
            left_out.push(device);
        }
        conversation.save(&set)?;
        self.commit(set)
    }

    /// A key package of a device whose own message names it, and where its inbox is.
    pub(super) async fn prepare_re_add(
        &mut self,
        queue: QueueId,
        message: &[u8],
        prepared: &mut Prepared,
    ) -> Result<bool, ClientError> {
        let message: ReAddMessage =
            decode(message).map_err(|_| ClientError::Bug("a request that does not decode"))?;
        let request = &message.request;
        let leaf = {
            let set = self.store.begin();
            let conversation = Conversation::load(&set, queue)?;
            let group = Group::load(&self.crypto.with(set.mls()), conversation.group)?;
            let asked = group.check_re_add(request, self.connection.now_ns());
            let own = group.own_leaf();
            asked.ok().map(|m| m.leaf).filter(|leaf| *leaf != own)
        };
        // It was fulfilled by another member, or its time is over.
        let Some(leaf) = leaf else {
            return Ok(false);
        };
        let seen = self.look_up(&[request.account]).await?;
        let Some(one) = seen.into_iter().next() else {
            return Ok(false);
        };
        let devices = one.state.at(one.now_ns).devices;
        let Some(device) = devices.iter().find(|entry| entry.device == request.device) else {
            return Ok(false);
        };
        let bytes = message.key_package.as_slice();
        let is_named = blake3(bytes) == request.key_package_hash;
        let Some(package) = self
            .check_package(bytes, &one, device)
            .ok()
            .filter(|_| is_named)
        else {
            return Ok(false);
        };
        let given = self.capability_of(request.account, device)?;
        let joiner = ClaimedDevice {
            device: device.device.0,
            inbox: device.inbox.0,
            shard: device.shard.as_slice().to_vec(),
            xwing_key: self.inbox_key_of(device).await?.1,
            key_package: bytes.to_vec(),
            capability: given.as_ref().map(encode).unwrap_or_default(),
        };
        prepared.change.add.push(package);
        prepared.change.remove.push(leaf);
        prepared.change.re_adds.push(request.clone());
        prepared.joiners.push(joiner);
        let proved = self.prove(one.state.account()).await?;
        if proved.history.state() != &one.state {
            return Err(ClientError::Unfinished("the records changed meanwhile"));
        }
        prepared.proved.push(proved);
        Ok(true)
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
        let first = conversation.intents.first_mut();
        if let Some(claimed) = first.and_then(Intent::claimed_mut) {
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
        let (pool, xwing_key, leaf) = self.pool(device).await?;
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
            xwing_key,
            key_package,
            capability: given.as_ref().map(encode).unwrap_or_default(),
        };
        Ok((claimed, last_resort.to_vec()))
    }

    /// The X-Wing key of a device's inbox, as its record names it.
    pub(super) async fn inbox_key_of(
        &self,
        device: &DeviceEntry,
    ) -> Result<(InboxId, Vec<u8>), ClientError> {
        let (_, xwing_key, _) = self.pool(device).await?;
        Ok((device.inbox, xwing_key))
    }

    /// What the relay certifies of a device's pool and inbox.
    async fn pool(
        &self,
        device: &DeviceEntry,
    ) -> Result<(PoolReply, Vec<u8>, InboxLeaf), ClientError> {
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
        let xwing_key = xwing_key.to_vec();
        Ok((pool, xwing_key, leaf))
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
