//! Joining by a Welcome.

use openmls::prelude::{
    GroupId, MlsGroup, MlsMessageBodyIn, MlsMessageIn, RatchetTreeIn, StagedWelcome,
};
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider};
use paigham_wire::codec::decode;
use paigham_wire::envelope::{GroupForm, VERSION, WelcomePointer, WelcomeWrapper, welcome_aad};
use paigham_wire::hash::{blake3, label};
use paigham_wire::ids::QueueId;
use tls_codec::DeserializeBytes;
use zeroize::Zeroizing;

use crate::crypto::{Provider, SUITE};
use crate::device::DeviceKeys;
use crate::error::GroupError;
use crate::group::{Group, GroupState, MAX_LEAVES, exact_policy_of, join_config};
use crate::seal::open;

/// A Welcome that has been opened: a group whose members are not yet verified.
#[derive(Debug)]
pub struct UnverifiedJoin {
    /// The group; used only once every member is found in its account's records.
    pub group: Group,
    /// Newest entry that the committer had verified, and the heads there.
    pub base_seq: u32,
    /// Head there.
    pub base_head: [u8; 32],
    /// Commit head there.
    pub base_commit_head: [u8; 32],
    /// Leaf of who added us.
    pub added_by: u32,
}

/// Opens the sealed wrapper of a pointer.
///
/// # Errors
/// [`GroupError`].
pub fn open_wrapper(pointer: &WelcomePointer, sealed: &[u8]) -> Result<WelcomeWrapper, GroupError> {
    let aad = welcome_aad(label::WELCOME, &pointer.queue);
    let bytes = Zeroizing::new(open(pointer.wrapper_key.as_bytes(), &aad, sealed)?);
    let wrapper: WelcomeWrapper =
        decode(&bytes).map_err(|_| GroupError::Welcome("the wrapper is malformed"))?;
    if wrapper.version != VERSION || wrapper.generation == 0 {
        return Err(GroupError::Welcome("the wrapper is of another version"));
    }
    Ok(wrapper)
}

/// Opens Welcome and tree. The key package's private part is consumed in the write-set: the caller
/// drops it on an error, and nothing is lost.
///
/// # Errors
/// [`GroupError::Welcome`].
pub fn join<S: StorageProvider<CURRENT_VERSION>>(
    provider: &Provider<'_, S>,
    device: &DeviceKeys,
    pointer: &WelcomePointer,
    wrapper: &WelcomeWrapper,
    sealed_tree: &[u8],
) -> Result<UnverifiedJoin, GroupError> {
    if blake3(sealed_tree) != wrapper.tree_hash {
        return Err(GroupError::Welcome("the tree is not the one it names"));
    }
    let aad = welcome_aad(label::TREE, &pointer.queue);
    let tree = open(pointer.wrapper_key.as_bytes(), &aad, sealed_tree)?;
    let tree = RatchetTreeIn::tls_deserialize_exact_bytes(&tree)
        .map_err(|_| GroupError::Welcome("the tree is malformed"))?;
    let message = MlsMessageIn::tls_deserialize_exact_bytes(wrapper.mls_welcome.as_slice())
        .map_err(|_| GroupError::Welcome("it is malformed"))?;
    let MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
        return Err(GroupError::Welcome("it is another message"));
    };
    if welcome.ciphersuite() != SUITE {
        return Err(GroupError::Welcome("it is of another suite"));
    }
    clear_the_way(provider, &pointer.queue)?;
    let staged = StagedWelcome::build_from_welcome(provider, &join_config(), welcome)
        .map_err(|_| GroupError::Welcome("no key package of ours opens it"))?
        .with_ratchet_tree(tree)
        .skip_lifetime_validation()
        .build()
        .map_err(|_| GroupError::Welcome("group and tree do not fit"))?;
    let added_by = staged.welcome_sender_index().u32();
    let mls = staged
        .into_group(provider)
        .map_err(|_| GroupError::Welcome("the group does not start"))?;
    let state = GroupState {
        queue: pointer.queue.0,
        generation: wrapper.generation,
        read_token: *wrapper.read_token.as_bytes(),
        first_control_seed: None,
        pending: None,
        leaving: Vec::new(),
        commits: Vec::new(),
        re_adds: crate::re_add::log_of(wrapper)?,
    };
    let group = Group { mls, state };
    check(&group, device, &pointer.queue)?;
    Ok(UnverifiedJoin {
        group,
        base_seq: wrapper.base_seq,
        base_head: wrapper.base_head,
        base_commit_head: wrapper.base_commit_head,
        added_by,
    })
}

/// Who was removed may be invited again, and the dead group makes place; nobody replaces a living
/// one by a Welcome.
fn clear_the_way<S: StorageProvider<CURRENT_VERSION>>(
    provider: &Provider<'_, S>,
    queue: &QueueId,
) -> Result<(), GroupError> {
    let storage = |error: S::Error| GroupError::Storage(error.to_string());
    let known = MlsGroup::load(provider.storage(), &GroupId::from_slice(&queue.0));
    let Some(mut known) = known.map_err(storage)? else {
        return Ok(());
    };
    if known.is_active() {
        return Err(GroupError::Welcome("this device is in the group already"));
    }
    known.delete(provider.storage()).map_err(storage)
}

/// The group is one of ours: its id is the queue, its extensions are exactly ours, its leaves have
/// our credentials, each device once, one of them is this device, and a direct chat has no third.
fn check(group: &Group, device: &DeviceKeys, queue: &QueueId) -> Result<(), GroupError> {
    if group.mls.group_id().as_slice() != queue.0 {
        return Err(GroupError::Welcome("the group is not that of the queue"));
    }
    let policy = exact_policy_of(group.mls.extensions())
        .ok_or(GroupError::Welcome("its extensions are not ours"))?;
    // Epochs are counted in 32 bits, and no commit starts more than one generation.
    let epoch = group.mls.epoch().as_u64();
    if epoch >= u64::from(u32::MAX) || u64::from(group.state.generation) > epoch {
        return Err(GroupError::Welcome("its epoch and generation do not fit"));
    }
    let members: Vec<_> = group.members().collect();
    let mut devices: Vec<_> = members.iter().map(|m| (m.account, m.device)).collect();
    devices.sort_unstable();
    devices.dedup();
    let all_ours = members.len() == group.mls.members().count();
    if !all_ours || devices.len() != members.len() || members.len() > MAX_LEAVES {
        return Err(GroupError::Welcome("its leaves are not ours"));
    }
    // Nobody judged how the inviter made the group: a third device in a chat of two is seen here.
    if policy.form == GroupForm::Direct && !members.iter().all(|m| policy.is_admin(&m.account())) {
        return Err(GroupError::Welcome("a direct chat has a third account"));
    }
    let own = device.credential();
    let here = group
        .member_at(group.own_leaf())
        .is_some_and(|leaf| leaf.account() == own.account && leaf.device() == own.device);
    if here {
        Ok(())
    } else {
        Err(GroupError::Welcome("the own leaf is another device's"))
    }
}
