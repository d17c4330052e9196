//! The Welcome of an own commit, looked at before anybody is told of it.
//!
//! Every member holds the control key, and could, together with a node that keeps the commit back,
//! submit it with another Welcome: the joiners would be members who can never join. What is certified
//! is compared with what this device made, and where it differs the joiners are added anew.

use paigham_store::WriteSet;
use paigham_wire::hash::blake3;
use paigham_wire::ids::{CanisterId, QueueId, WelcomeId};
use paigham_wire::leaf::WelcomeLeaf;
use paigham_wire::relay::CommitBundle;
use serde::{Deserialize, Serialize};

use super::{Conversation, Intent, LAGGING_TRIES, LAGGING_WAIT};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::inbox::OutgoingDeposit;
use crate::view::Notice;

/// Most joiners of one commit whose Welcome is looked for: each look fetches all of it.
const LOOKS_MAX: usize = 8;

/// What the relay must certify of an own commit before its joiners are told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OwnWelcome {
    pub ids: Vec<[u8; 32]>,
    pub wrapper_hash: [u8; 32],
    pub tree_hash: [u8; 32],
    pub accounts: Vec<[u8; 16]>,
    pub devices: Vec<[u8; 16]>,
    /// What tells the joiners.
    pub deposits: Vec<OutgoingDeposit>,
    /// When the relay took the commit, nanoseconds since 1970: what is certified earlier says
    /// nothing.
    pub accepted_at: u64,
}

impl OwnWelcome {
    /// Of a bundle; who it is for is filled in by the caller.
    pub fn of(bundle: &CommitBundle) -> Self {
        Self {
            ids: Vec::new(),
            wrapper_hash: blake3(bundle.wrapper.as_slice()),
            tree_hash: blake3(bundle.tree.as_slice()),
            accounts: Vec::new(),
            devices: Vec::new(),
            deposits: Vec::new(),
            accepted_at: 0,
        }
    }
}

impl Client {
    /// Compares the Welcome of the last own commit with what is certified. If it is the own one the
    /// joiners are told, else they are to be added anew.
    pub(super) async fn check_own_welcome(&mut self, queue: QueueId) -> Result<(), ClientError> {
        let conversation = Conversation::load(&self.store.begin(), queue)?;
        let Some(welcome) = &conversation.welcome else {
            return Ok(());
        };
        let mut is_own = true;
        for id in welcome.ids.iter().take(LOOKS_MAX) {
            let relay = conversation.shard()?;
            let leaf = self.leaf_since(&relay, *id, welcome.accepted_at).await?;
            let is_it = leaf.is_some_and(|leaf| {
                leaf.wrapper_hash == welcome.wrapper_hash && leaf.tree_hash == welcome.tree_hash
            });
            is_own = is_own && is_it;
        }
        let set = self.store.begin();
        let mut conversation = Conversation::load(&set, queue)?;
        if let Some(welcome) = conversation.welcome.take() {
            if is_own {
                tell(&set, &welcome)?;
            } else if !conversation.has_ended() {
                conversation.intents.insert(
                    0,
                    Intent::AddAnew {
                        accounts: welcome.accounts,
                        devices: welcome.devices,
                        claimed: Vec::new(),
                    },
                );
                let name = self.conversation_name(&conversation);
                let why = NotVerified::Differs("another Welcome than this device made");
                self.notices
                    .push(Notice::ConversationFailed(name, why.to_string()));
            }
        }
        conversation.save(&set)?;
        self.commit(set)
    }
}

impl Client {
    /// What is certified of a Welcome not before its commit was accepted; a node that is behind is
    /// asked again.
    async fn leaf_since(
        &self,
        relay: &CanisterId,
        id: [u8; 32],
        since_ns: u64,
    ) -> Result<Option<WelcomeLeaf>, ClientError> {
        for _ in 0..=LAGGING_TRIES {
            let (leaf, time_ns) = self.welcome_leaf(relay, WelcomeId(id)).await?;
            if time_ns >= since_ns {
                return Ok(leaf);
            }
            tokio::time::sleep(LAGGING_WAIT).await;
        }
        Err(ClientError::Unfinished("the node that answers is behind"))
    }
}

fn tell(set: &WriteSet, welcome: &OwnWelcome) -> Result<(), ClientError> {
    welcome.deposits.iter().try_for_each(|one| one.queue(set))
}
