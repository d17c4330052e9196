//! OpenMLS's storage in a write-set.
//!
//! Each of OpenMLS's records is a record of [`Table::Mls`] under its kind and key; lists are one
//! record each. A failed operation is undone by dropping the write-set, so that a Welcome that
//! does not open leaves its key package where it was.

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::error::StoreError;
use crate::table::Table;
use crate::write_set::WriteSet;

/// What of OpenMLS a record is; the first byte of its id. Retired: none.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Kind {
    JoinConfig = 1,
    OwnLeafNodes = 2,
    Proposals = 3,
    Tree = 4,
    InterimTranscriptHash = 5,
    Context = 6,
    ConfirmationTag = 7,
    GroupState = 8,
    MessageSecrets = 9,
    ResumptionPsks = 10,
    OwnLeafIndex = 11,
    EpochSecrets = 12,
    ExportTree = 13,
    SignatureKey = 14,
    EncryptionKey = 15,
    EpochKeyPairs = 16,
    KeyPackage = 17,
    Psk = 18,
}

/// A proposal's reference and the proposal, both encoded.
type StoredProposal = (Vec<u8>, Vec<u8>);

/// A view of a [`WriteSet`] for OpenMLS.
#[derive(Debug, Clone, Copy)]
pub struct MlsStorage<'a> {
    set: &'a WriteSet,
}

impl<'a> MlsStorage<'a> {
    pub(crate) const fn new(set: &'a WriteSet) -> Self {
        Self { set }
    }

    fn put(
        &self,
        kind: Kind,
        key: &impl Serialize,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.set.put(Table::Mls, &id(kind, key)?, value)
    }

    fn get<T: DeserializeOwned>(
        &self,
        kind: Kind,
        key: &impl Serialize,
    ) -> Result<Option<T>, StoreError> {
        self.set.get(Table::Mls, &id(kind, key)?)
    }

    fn delete(&self, kind: Kind, key: &impl Serialize) -> Result<(), StoreError> {
        self.set.delete(Table::Mls, &id(kind, key)?);
        Ok(())
    }

    fn list<T: DeserializeOwned>(
        &self,
        kind: Kind,
        key: &impl Serialize,
    ) -> Result<Vec<T>, StoreError> {
        Ok(self.get(kind, key)?.unwrap_or_default())
    }

    /// References and proposals, encoded, in the order in which they came.
    fn proposals(&self, group: &impl Serialize) -> Result<Vec<StoredProposal>, StoreError> {
        self.list(Kind::Proposals, group)
    }
}

fn id(kind: Kind, key: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut id = vec![kind as u8];
    id.extend_from_slice(&codec::encode(key)?);
    Ok(id)
}

/// One record of a group: write, read, delete.
macro_rules! singleton {
    ($kind:ident: $write:ident $read:ident $(delete $delete:ident)?, $bound:ident) => {
        fn $write<G: traits::GroupId<CURRENT_VERSION>, T: traits::$bound<CURRENT_VERSION>>(
            &self,
            group_id: &G,
            value: &T,
        ) -> Result<(), Self::Error> {
            self.put(Kind::$kind, group_id, value)
        }

        fn $read<G: traits::GroupId<CURRENT_VERSION>, T: traits::$bound<CURRENT_VERSION>>(
            &self,
            group_id: &G,
        ) -> Result<Option<T>, Self::Error> {
            self.get(Kind::$kind, group_id)
        }

        $(fn $delete<G: traits::GroupId<CURRENT_VERSION>>(
            &self,
            group_id: &G,
        ) -> Result<(), Self::Error> {
            self.delete(Kind::$kind, group_id)
        })?
    };
}

/// One record by its own key: write, read, delete.
macro_rules! keyed {
    ($kind:ident: $write:ident $read:ident $delete:ident, $key:ident, $bound:ident) => {
        fn $write<K: traits::$key<CURRENT_VERSION>, T: traits::$bound<CURRENT_VERSION>>(
            &self,
            key: &K,
            value: &T,
        ) -> Result<(), Self::Error> {
            self.put(Kind::$kind, key, value)
        }

        fn $delete<K: traits::$key<CURRENT_VERSION>>(&self, key: &K) -> Result<(), Self::Error> {
            self.delete(Kind::$kind, key)
        }
    };
}

impl StorageProvider<CURRENT_VERSION> for MlsStorage<'_> {
    type Error = StoreError;

    singleton!(JoinConfig: write_mls_join_config mls_group_join_config delete delete_group_config, MlsGroupJoinConfig);
    singleton!(Tree: write_tree tree delete delete_tree, TreeSync);
    singleton!(InterimTranscriptHash: write_interim_transcript_hash interim_transcript_hash delete delete_interim_transcript_hash, InterimTranscriptHash);
    singleton!(Context: write_context group_context delete delete_context, GroupContext);
    singleton!(ConfirmationTag: write_confirmation_tag confirmation_tag delete delete_confirmation_tag, ConfirmationTag);
    singleton!(MessageSecrets: write_message_secrets message_secrets delete delete_message_secrets, MessageSecrets);
    singleton!(ResumptionPsks: write_resumption_psk_store resumption_psk_store delete delete_all_resumption_psk_secrets, ResumptionPskStore);
    singleton!(OwnLeafIndex: write_own_leaf_index own_leaf_index delete delete_own_leaf_index, LeafNodeIndex);
    singleton!(EpochSecrets: write_group_epoch_secrets group_epoch_secrets delete delete_group_epoch_secrets, GroupEpochSecrets);

    keyed!(SignatureKey: write_signature_key_pair signature_key_pair delete_signature_key_pair, SignaturePublicKey, SignatureKeyPair);
    keyed!(EncryptionKey: write_encryption_key_pair encryption_key_pair delete_encryption_key_pair, EncryptionKey, HpkeKeyPair);
    keyed!(KeyPackage: write_key_package key_package delete_key_package, HashReference, KeyPackage);
    keyed!(Psk: write_psk psk delete_psk, PskId, PskBundle);

    fn write_group_state<
        T: traits::GroupState<CURRENT_VERSION>,
        G: traits::GroupId<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
        value: &T,
    ) -> Result<(), Self::Error> {
        self.put(Kind::GroupState, group_id, value)
    }

    fn group_state<T: traits::GroupState<CURRENT_VERSION>, G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &G,
    ) -> Result<Option<T>, Self::Error> {
        self.get(Kind::GroupState, group_id)
    }

    fn delete_group_state<G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &G,
    ) -> Result<(), Self::Error> {
        self.delete(Kind::GroupState, group_id)
    }

    fn write_application_export_tree<
        G: traits::GroupId<CURRENT_VERSION>,
        T: traits::ApplicationExportTree<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
        value: &T,
    ) -> Result<(), Self::Error> {
        self.put(Kind::ExportTree, group_id, value)
    }

    fn application_export_tree<
        G: traits::GroupId<CURRENT_VERSION>,
        T: traits::ApplicationExportTree<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
    ) -> Result<Option<T>, Self::Error> {
        self.get(Kind::ExportTree, group_id)
    }

    fn delete_application_export_tree<
        G: traits::GroupId<CURRENT_VERSION>,
        T: traits::ApplicationExportTree<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
    ) -> Result<(), Self::Error> {
        self.delete(Kind::ExportTree, group_id)
    }

    fn append_own_leaf_node<
        G: traits::GroupId<CURRENT_VERSION>,
        T: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
        leaf_node: &T,
    ) -> Result<(), Self::Error> {
        let mut nodes: Vec<Vec<u8>> = self.list(Kind::OwnLeafNodes, group_id)?;
        nodes.push(codec::encode(leaf_node)?);
        self.put(Kind::OwnLeafNodes, group_id, &nodes)
    }

    fn own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>, T: traits::LeafNode<CURRENT_VERSION>>(
        &self,
        group_id: &G,
    ) -> Result<Vec<T>, Self::Error> {
        let nodes: Vec<Vec<u8>> = self.list(Kind::OwnLeafNodes, group_id)?;
        nodes.iter().map(|node| codec::decode(node)).collect()
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group_id: &G,
    ) -> Result<(), Self::Error> {
        self.delete(Kind::OwnLeafNodes, group_id)
    }

    fn queue_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        T: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
        proposal_ref: &R,
        proposal: &T,
    ) -> Result<(), Self::Error> {
        let reference = codec::encode(proposal_ref)?;
        let mut proposals = self.proposals(group_id)?;
        proposals.retain(|(known, _)| *known != reference);
        proposals.push((reference, codec::encode(proposal)?));
        self.put(Kind::Proposals, group_id, &proposals)
    }

    fn queued_proposal_refs<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
    ) -> Result<Vec<R>, Self::Error> {
        self.proposals(group_id)?
            .iter()
            .map(|(reference, _)| codec::decode(reference))
            .collect()
    }

    fn queued_proposals<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        T: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
    ) -> Result<Vec<(R, T)>, Self::Error> {
        self.proposals(group_id)?
            .iter()
            .map(|(reference, proposal)| Ok((codec::decode(reference)?, codec::decode(proposal)?)))
            .collect()
    }

    fn remove_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
        proposal_ref: &R,
    ) -> Result<(), Self::Error> {
        let reference = codec::encode(proposal_ref)?;
        let mut proposals = self.proposals(group_id)?;
        proposals.retain(|(known, _)| *known != reference);
        self.put(Kind::Proposals, group_id, &proposals)
    }

    fn clear_proposal_queue<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
    ) -> Result<(), Self::Error> {
        self.delete(Kind::Proposals, group_id)
    }

    fn signature_key_pair<
        K: traits::SignaturePublicKey<CURRENT_VERSION>,
        T: traits::SignatureKeyPair<CURRENT_VERSION>,
    >(
        &self,
        public_key: &K,
    ) -> Result<Option<T>, Self::Error> {
        self.get(Kind::SignatureKey, public_key)
    }

    fn encryption_key_pair<
        T: traits::HpkeKeyPair<CURRENT_VERSION>,
        K: traits::EncryptionKey<CURRENT_VERSION>,
    >(
        &self,
        public_key: &K,
    ) -> Result<Option<T>, Self::Error> {
        self.get(Kind::EncryptionKey, public_key)
    }

    fn key_package<
        K: traits::HashReference<CURRENT_VERSION>,
        T: traits::KeyPackage<CURRENT_VERSION>,
    >(
        &self,
        hash_ref: &K,
    ) -> Result<Option<T>, Self::Error> {
        self.get(Kind::KeyPackage, hash_ref)
    }

    fn psk<T: traits::PskBundle<CURRENT_VERSION>, K: traits::PskId<CURRENT_VERSION>>(
        &self,
        psk_id: &K,
    ) -> Result<Option<T>, Self::Error> {
        self.get(Kind::Psk, psk_id)
    }

    fn write_encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        T: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
        epoch: &E,
        leaf_index: u32,
        key_pairs: &[T],
    ) -> Result<(), Self::Error> {
        self.put(
            Kind::EpochKeyPairs,
            &(group_id, epoch, leaf_index),
            &key_pairs,
        )
    }

    fn encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        T: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<Vec<T>, Self::Error> {
        self.list(Kind::EpochKeyPairs, &(group_id, epoch, leaf_index))
    }

    fn delete_encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
    >(
        &self,
        group_id: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<(), Self::Error> {
        self.delete(Kind::EpochKeyPairs, &(group_id, epoch, leaf_index))
    }
}
