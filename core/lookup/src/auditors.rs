//! What the auditors whom a network names say of a head (`spec/review.md` §4).
//!
//! An auditor has followed every entry up to a size, and signs the root that they lead to. The log
//! itself connects that size with the one of a head at hand, older or newer, so nobody has to wait
//! for a statement over exactly this head.

use paigham_transparency::auditor::is_signed_by;
use paigham_transparency::codec::Codec;
use paigham_transparency::consistency::Consistency;
use paigham_transparency::structs::{AuditorTreeHead, AuditorTreeHeadTbs};
use paigham_transparency::verifier::TreeView;
use paigham_wire::hash::Hash;
use paigham_wire::log::{Cosignatures, Vouched};
use paigham_wire::network::VerifiedNetwork;

use crate::trust::LogTrust;

/// How far the newest entry that an auditor has followed may lie behind the newest entry of a head,
/// in milliseconds: two days. Who signs once a day may miss one.
pub const AUDITOR_MAX_LAG_MS: u64 = 48 * 3_600 * 1_000;

/// Auditors, and how many of them are to vouch for a head: what a network file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditorPolicy {
    keys: Vec<Hash>,
    required: usize,
}

/// What one auditor says of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditorSays {
    /// It has followed this very log, and not long ago.
    Vouches {
        /// Entries that it has followed.
        size: u64,
        /// Timestamp of the newest of them, milliseconds since 1970.
        timestamp: u64,
    },
    /// It has followed this very log, and not lately ([`AUDITOR_MAX_LAG_MS`]).
    Late {
        /// Entries that it has followed.
        size: u64,
        /// Timestamp of the newest of them, milliseconds since 1970.
        timestamp: u64,
    },
    /// No statement of it was shown.
    Nothing,
    /// A statement was shown that does not hold over this log: of another log, or changed on its
    /// way.
    Disagrees,
}

/// An auditor, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditorWord {
    /// Its key.
    pub key: Hash,
    /// What it says.
    pub says: AuditorSays,
}

/// What all auditors that a network names say of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditorReport {
    /// How many are to vouch.
    pub required: usize,
    /// Each, ascending by key.
    pub words: Vec<AuditorWord>,
}

impl AuditorPolicy {
    /// The policy of a network; `None` if it names no auditors.
    #[must_use]
    pub fn of_network(network: &VerifiedNetwork) -> Option<Self> {
        let set = network.file().auditors.as_ref()?;
        let keys: Vec<Hash> = set.keys.iter().map(|key| **key).collect();
        let required = usize::try_from(set.threshold).ok()?;
        (!keys.is_empty()).then(|| Self::new(keys, required))
    }

    /// So many of some keys.
    #[must_use]
    pub const fn new(keys: Vec<Hash>, required: usize) -> Self {
        Self { keys, required }
    }

    /// Holds what the log showed of its auditors against a head that was verified.
    ///
    /// # Security
    /// A statement counts by its signature over the root to which the log's own proof connects the
    /// head. So a log that shows somebody another history than its auditors has no statement for it.
    /// Statements are signed, their absence is not: who carries the reply can leave them out.
    #[must_use]
    pub fn judge(&self, trust: &LogTrust, view: &TreeView, shown: &Cosignatures) -> AuditorReport {
        let word = |key: &Hash| {
            let mut shown = shown.statements.iter();
            let statement = shown.find(|one| one.statement.key == *key);
            let says = statement.map_or(AuditorSays::Nothing, |one| says(trust, view, one));
            AuditorWord { key: *key, says }
        };
        AuditorReport {
            required: self.required,
            words: self.keys.iter().map(word).collect(),
        }
    }
}

impl AuditorReport {
    /// How many vouch for the head.
    #[must_use]
    pub fn vouching(&self) -> usize {
        let vouches = |one: &&AuditorWord| matches!(one.says, AuditorSays::Vouches { .. });
        self.words.iter().filter(vouches).count()
    }

    /// Whether enough vouch.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.vouching() >= self.required
    }

    /// The auditors whose statement does not hold over this log.
    pub fn disagreeing(&self) -> impl Iterator<Item = &Hash> {
        let words = self.words.iter();
        words
            .filter(|one| one.says == AuditorSays::Disagrees)
            .map(|one| &one.key)
    }
}

fn says(trust: &LogTrust, view: &TreeView, shown: &Vouched) -> AuditorSays {
    let Some(head) = signed_head(trust, view, shown) else {
        return AuditorSays::Disagrees;
    };
    let (size, timestamp) = (head.tree_size, head.timestamp);
    let behind = view.newest_timestamp().saturating_sub(timestamp);
    if behind > AUDITOR_MAX_LAG_MS {
        AuditorSays::Late { size, timestamp }
    } else {
        AuditorSays::Vouches { size, timestamp }
    }
}

/// The statement, if it is one over the log of the view.
fn signed_head(trust: &LogTrust, view: &TreeView, shown: &Vouched) -> Option<AuditorTreeHead> {
    let head = AuditorTreeHead::decode(shown.statement.head.as_slice()).ok()?;
    let proof = Consistency::decode(shown.consistency.as_slice()).ok()?;
    let (signed, own) = (head.tree_size, view.size());
    let roots = proof.roots(signed.min(own), signed.max(own))?;
    let (root, connected) = match signed <= own {
        true => (roots.smaller, roots.larger),
        false => (roots.larger, roots.smaller),
    };
    let said = AuditorTreeHeadTbs {
        config: trust.config().clone(),
        timestamp: head.timestamp,
        tree_size: signed,
        root,
    };
    let holds = connected == view.root() && is_signed_by(&shown.statement.key, &said, &head);
    holds.then_some(head)
}
