//! Adding entries to a log.

use crate::hash::{HashValue, Label, Opening, commitment, log_leaf};
use crate::implicit::MAX_TREE_SIZE;
use crate::ladder::MAX_VERSION;
use crate::log_tree;
use crate::prefix_tree::{self, NewLeaf, TreeError};
use crate::store::{Child, LogEntry, StoreMut, StoredVersion, VersionPlace};
use crate::structs::PrefixLeaf;
use crate::vrf::{VrfError, VrfSecretKey};

/// The most versions that one entry can bring: an auditor's proof has one result for each, and
/// counts them in one byte.
pub const MAX_CHANGES: usize = 255;

/// A value on its way into the log, under the next version of its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVersion {
    /// The label.
    pub label: Label,
    /// The value.
    pub value: Vec<u8>,
    /// Fresh random bytes, or derived from a secret key so that nobody else can guess them.
    pub opening: Opening,
}

/// Why an entry cannot be added. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// More than [`MAX_CHANGES`].
    #[error("an entry brings at most 255 versions")]
    TooMany,
    /// Earlier than the newest entry.
    #[error("an entry cannot be older than the one before")]
    TimeRegression,
    /// The log or a label has reached its largest size, or a value is 4 GiB.
    #[error("the log cannot hold this")]
    Full,
    /// The store lacks what it should have.
    #[error("the store is damaged")]
    Store,
    /// The VRF fails for a label.
    #[error(transparent)]
    Vrf(#[from] VrfError),
}

/// A version computed and not yet written.
struct Prepared<'a> {
    new: &'a NewVersion,
    leaf: PrefixLeaf,
}

/// Adds one entry with the next version of each label, in the order given, and returns its
/// position. An empty list makes a heartbeat.
///
/// The price is one VRF evaluation, unless the store keeps it, and one commitment for each version,
/// and the copied paths.
///
/// # Errors
/// [`PublishError`]; all but [`PublishError::Store`] are found before anything is written.
pub fn publish(
    store: &mut impl StoreMut,
    vrf: &VrfSecretKey,
    timestamp: u64,
    versions: &[NewVersion],
) -> Result<u64, PublishError> {
    let position = store.tree_size();
    if versions.len() > MAX_CHANGES {
        return Err(PublishError::TooMany);
    }
    if position >= MAX_TREE_SIZE {
        return Err(PublishError::Full);
    }
    let previous = previous_entry(store, position)?;
    if previous.is_some_and(|entry| timestamp < entry.timestamp) {
        return Err(PublishError::TimeRegression);
    }
    let mut prepared = Vec::with_capacity(versions.len());
    for (index, new) in versions.iter().enumerate() {
        prepared.push(prepare(store, vrf, &versions[..index], new)?);
    }
    let root = previous.map_or(Child::Missing, |entry| entry.root);
    let first_leaf = store.leaf_count();
    let root = write_leaves(store, root, position, &prepared)?;
    let leaf = log_leaf(timestamp, &root.hash);
    log_tree::append(store, leaf).ok_or(PublishError::Store)?;
    store.push_entry(LogEntry {
        timestamp,
        prefix_root: root.hash,
        root: root.child,
        first_leaf,
    });
    Ok(position)
}

fn previous_entry(store: &impl StoreMut, position: u64) -> Result<Option<LogEntry>, PublishError> {
    let Some(previous) = position.checked_sub(1) else {
        return Ok(None);
    };
    Ok(Some(store.entry(previous).ok_or(PublishError::Store)?))
}

fn prepare<'a>(
    store: &impl StoreMut,
    vrf: &VrfSecretKey,
    earlier: &[NewVersion],
    new: &'a NewVersion,
) -> Result<Prepared<'a>, PublishError> {
    let same = earlier
        .iter()
        .filter(|other| other.label == new.label)
        .count();
    let version = u32::try_from(same)
        .ok()
        .and_then(|same| store.version_count(&new.label).checked_add(same))
        .filter(|version| *version <= MAX_VERSION)
        .ok_or(PublishError::Full)?;
    let commitment: HashValue =
        commitment(&new.opening, &new.label, version, &new.value).ok_or(PublishError::Full)?;
    let vrf_output = match store.vrf(&new.label, version) {
        Some((output, _)) => output,
        None => vrf.evaluate(&new.label.vrf_input(version))?,
    };
    let leaf = PrefixLeaf {
        vrf_output,
        commitment,
    };
    Ok(Prepared { new, leaf })
}

fn write_leaves(
    store: &mut impl StoreMut,
    root: Child,
    position: u64,
    prepared: &[Prepared<'_>],
) -> Result<prefix_tree::Node, PublishError> {
    // Leaves lie ascending within an entry, versions of a label in the order given.
    let mut order: Vec<usize> = (0..prepared.len()).collect();
    order.sort_by_key(|index| prepared[*index].leaf.vrf_output);
    let mut leaves = Vec::with_capacity(prepared.len());
    let mut places = vec![0; prepared.len()];
    for index in order {
        let leaf = prepared[index].leaf;
        places[index] = store.push_leaf(leaf);
        leaves.push(NewLeaf {
            leaf,
            index: places[index],
        });
    }
    let root = prefix_tree::insert(store, root, &leaves).map_err(|error| match error {
        TreeError::Broken | TreeError::Exists => PublishError::Store,
        TreeError::TooDeep => PublishError::Full,
    })?;
    for (item, leaf) in prepared.iter().zip(places) {
        let version = StoredVersion {
            place: VersionPlace { position, leaf },
            opening: item.new.opening,
            value: item.new.value.clone(),
        };
        store.push_version(&item.new.label, version);
    }
    Ok(root)
}
