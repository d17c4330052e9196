//! What an auditor reads: computed from the roots of two entries and the leaves between them.

use crate::prefix_tree;
use crate::prover::ProveError;
use crate::store::Store;
use crate::structs::AuditorUpdate;

/// What an entry changed. Nothing is ever removed.
///
/// # Errors
/// [`ProveError::Request`] for an entry that does not exist, [`ProveError::Store`].
pub fn audit_update(store: &impl Store, position: u64) -> Result<AuditorUpdate, ProveError> {
    let entry = store
        .entry(position)
        .ok_or(ProveError::Request("no such entry"))?;
    let next = position.checked_add(1).and_then(|next| store.entry(next));
    let end = next.map_or_else(|| store.leaf_count(), |next| next.first_leaf);
    let added: Option<Vec<_>> = (entry.first_leaf..end)
        .map(|index| store.leaf(index))
        .collect();
    let added = added.ok_or(ProveError::Store)?;
    let keys: Vec<_> = added.iter().map(|leaf| leaf.vrf_output).collect();
    let before = position.checked_sub(1).map(|before| store.entry(before));
    let proof = match before {
        Some(before) => {
            let root = before.ok_or(ProveError::Store)?.root;
            prefix_tree::prove(store, root, &keys)?
        }
        None => prefix_tree::prove_in_empty(&keys),
    };
    Ok(AuditorUpdate {
        timestamp: entry.timestamp,
        added,
        removed: Vec::new(),
        proof,
    })
}
