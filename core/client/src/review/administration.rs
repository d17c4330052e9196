//! Who administers a canister and what they did, for anybody to read (`spec/protocol.md` §6.6).

use paigham_wire::admin::{
    Action, AdminEntry, AdminLogReply, AdminLogRequest, AdminRefusal, AdminSet, OpenProposal,
};
use paigham_wire::codec::decode;
use paigham_wire::hash::Hash;
use paigham_wire::ids::CanisterId;
use paigham_wire::leaf::{Leaf, ShardLeaf, ShardsLeaf};
use paigham_wire::map::{Found, Witness};

use super::{ReviewError, Reviewer};
use crate::connection::CertifiedReply;
use crate::error::{ClientError, NotVerified};

/// Log and administrators of one canister.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administered {
    /// Who administers: by the last entry that says so, or where none does, as the canister says of
    /// its install, which nothing certifies.
    pub admins: AdminSet,
    /// What waits for approvals, as the canister says.
    pub open: Vec<OpenProposal>,
    /// Everything that was executed: it leads to the certified head, so nothing is left out.
    pub entries: Vec<AdminEntry>,
}

impl CertifiedReply for AdminLogReply {
    fn proof(&self) -> (&[u8], &[u8]) {
        (self.certificate.as_slice(), self.witness.as_slice())
    }
}

impl From<AdminRefusal> for ClientError {
    fn from(refusal: AdminRefusal) -> Self {
        Self::Administration(refusal)
    }
}

impl Reviewer {
    /// Reads the whole log of a canister's administrators and checks it against the head that the
    /// canister certifies.
    ///
    /// # Errors
    /// [`ReviewError`]; [`NotVerified`] inside if the entries lead elsewhere.
    ///
    /// # Security
    /// Proposals that wait are not certified: a lying node can hide or make up one. An approval
    /// names the hash of what its sender has seen, so nobody can be made to approve anything else.
    pub async fn administration(&self, canister: &CanisterId) -> Result<Administered, ReviewError> {
        let mut log = Followed::default();
        loop {
            let request = AdminLogRequest { from: log.count() };
            let (reply, certified) = self
                .connection
                .read::<AdminLogReply, AdminRefusal>(canister, "admin_log", &request)
                .await?;
            let is_directory = canister == self.connection.directory();
            let head = certified_log(&certified.witness, is_directory)?;
            if log.follow(reply.entries, head)? {
                return Ok(Administered {
                    admins: log.admins().cloned().unwrap_or(reply.admins),
                    open: reply.open,
                    entries: log.entries,
                });
            }
        }
    }
}

/// Entries from the first on, and the head that they lead to.
#[derive(Debug, Default)]
struct Followed {
    entries: Vec<AdminEntry>,
    head: Hash,
}

impl Followed {
    fn count(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Who administers by the last entry that says so.
    fn admins(&self) -> Option<&AdminSet> {
        let newest_first = self.entries.iter().rev();
        newest_first
            .map(|entry| &entry.proposal.action)
            .find_map(|action| match action {
                Action::SetAdmins(set) => Some(set),
                _ => None,
            })
    }

    /// Takes a page; true if it leads to the certified number of entries and head.
    fn follow(
        &mut self,
        page: Vec<AdminEntry>,
        (count, head): (u32, Hash),
    ) -> Result<bool, ClientError> {
        let is_empty = page.is_empty();
        for entry in page {
            self.head = entry.head(&self.head);
            self.entries.push(entry);
        }
        if self.count() == count && self.head == head {
            return Ok(true);
        }
        if is_empty || self.count() >= count {
            let why = "the administrators' log does not lead to its certified head";
            return Err(NotVerified::Differs(why).into());
        }
        Ok(false)
    }
}

/// Number of entries and head, as the leaf has them that this kind of canister keeps. The directory
/// has none before its administrators do something; a relay always has its own.
///
/// # Security
/// The leaf is asked for by name: a node could show that the leaf of the other kind is absent, which
/// it is, and hide everything that was done.
fn certified_log(witness: &Witness, is_directory: bool) -> Result<(u32, Hash), ClientError> {
    let key = if is_directory {
        ShardsLeaf::key()
    } else {
        ShardLeaf::key()
    };
    let leaf = match witness.get(&key)? {
        Found::Absent if is_directory => return Ok((0, [0; 32])),
        Found::Absent => None,
        Found::Present(leaf) => decode(leaf).ok(),
    };
    match leaf {
        Some(Leaf::Shards(leaf)) if is_directory => Ok((leaf.admin_entries, leaf.admin_head)),
        Some(Leaf::Shard(leaf)) if !is_directory => Ok((leaf.admin_entries, leaf.admin_head)),
        _ => Err(NotVerified::Malformed("admin_log").into()),
    }
}

#[cfg(test)]
mod tests {
    use paigham_wire::admin::Proposal;
    use paigham_wire::codec::encode;
    use paigham_wire::hash::blake3;
    use paigham_wire::ids::PrincipalId;
    use paigham_wire::map::MerkleMap;
    use paigham_wire::ticket::{Beacon, Difficulties};

    use super::*;

    fn log(count: u32) -> (Vec<AdminEntry>, Hash) {
        let entry = |number| AdminEntry {
            proposal: Proposal {
                canister: CanisterId::new(&[1]).unwrap(),
                number,
                action: Action::SetDifficulties(Difficulties::default()),
            },
            approvers: vec![PrincipalId::new(&[2]).unwrap()],
            executed_at: 3,
        };
        let entries: Vec<_> = (0..count).map(entry).collect();
        let head = entries
            .iter()
            .fold([0; 32], |before, entry| entry.head(&before));
        (entries, head)
    }

    /// A log is read page by page up to its certified head; a canister without one has none.
    #[test]
    fn a_log_leads_to_its_head() {
        let (entries, head) = log(5);
        let mut read = Followed::default();
        assert!(!read.follow(entries[..3].to_vec(), (5, head)).unwrap());
        assert!(read.follow(entries[3..].to_vec(), (5, head)).unwrap());
        assert_eq!(read.entries, entries);
        let none = Followed::default().follow(Vec::new(), (0, [0; 32]));
        assert!(none.unwrap());
    }

    /// Who administers is what the certified log says last, whatever a node adds.
    #[test]
    fn administrators_are_those_of_the_log() {
        let set = |id| AdminSet {
            admins: vec![PrincipalId::new(&[id]).unwrap()],
            threshold: 1,
        };
        let (mut entries, _) = log(4);
        assert_eq!(
            Followed {
                entries: entries.clone(),
                head: [0; 32]
            }
            .admins(),
            None
        );
        for (number, id) in [(1, 5), (2, 6)] {
            entries[number].proposal.action = Action::SetAdmins(set(id));
        }
        let read = Followed {
            entries,
            head: [0; 32],
        };
        assert_eq!(read.admins(), Some(&set(6)));
    }

    /// A node that leaves an entry out, puts one in, swaps two or changes one is found out.
    #[test]
    fn a_log_that_is_not_whole_is_refused() {
        let (entries, head) = log(4);
        let without = [&entries[..1], &entries[2..]].concat();
        let twice = [&entries[..2], &entries[1..]].concat();
        let mut swapped = entries.clone();
        swapped.swap(1, 2);
        let mut changed = entries;
        changed[2].executed_at += 1;
        for lie in [without, twice, swapped, changed] {
            let mut read = Followed::default();
            let outcome = read.follow(lie, (4, head)).and_then(|whole| match whole {
                true => Ok(true),
                false => read.follow(Vec::new(), (4, head)),
            });
            assert!(outcome.is_err());
        }
    }

    /// What a canister's map says of two leaves, as a node would show one of them.
    fn shown(leaf: Option<(Hash, Leaf)>, wanted: Hash) -> Witness {
        let mut map = MerkleMap::open(Vec::new(), Vec::new(), Vec::new()).unwrap();
        if let Some((key, leaf)) = leaf {
            map.insert(&key, &encode(&leaf), &[]).unwrap();
        }
        // Beside others, so that a witness of one place shows nothing of another.
        for number in 0..100_u8 {
            map.insert(&blake3(&[number]), &[number], &[]).unwrap();
        }
        map.root();
        Witness::decode(&map.witness(&[wanted]).encode()).unwrap()
    }

    fn relays(admin_entries: u32) -> Leaf {
        Leaf::Shard(ShardLeaf {
            beacon: Beacon::NONE,
            previous: Beacon::NONE,
            difficulties: Difficulties::default(),
            posts_since: 0,
            commits_since: 0,
            fill: 0,
            admin_entries,
            admin_head: [7; 32],
        })
    }

    /// The head is that of the leaf which the canister keeps; a directory without one has done
    /// nothing yet.
    #[test]
    fn the_head_is_in_the_canisters_own_leaf() {
        let relay = shown(Some((ShardLeaf::key(), relays(2))), ShardLeaf::key());
        assert_eq!(certified_log(&relay, false).unwrap(), (2, [7; 32]));
        let leaf = Leaf::Shards(ShardsLeaf {
            map_hash: [1; 32],
            admin_entries: 3,
            admin_head: [8; 32],
        });
        let directory = shown(Some((ShardsLeaf::key(), leaf)), ShardsLeaf::key());
        assert_eq!(certified_log(&directory, true).unwrap(), (3, [8; 32]));
        let new = shown(None, ShardsLeaf::key());
        assert_eq!(certified_log(&new, true).unwrap(), (0, [0; 32]));
    }

    /// A node that hides what was done by showing the other kind's leaf, which the canister never
    /// had, or that a relay has none, is refused.
    #[test]
    fn the_absence_of_another_leaf_shows_nothing() {
        let hidden = shown(Some((ShardLeaf::key(), relays(2))), ShardsLeaf::key());
        assert!(certified_log(&hidden, false).is_err());
        assert!(certified_log(&shown(None, ShardLeaf::key()), false).is_err());
        assert!(certified_log(&shown(None, ShardLeaf::key()), true).is_err());
        let foreign = shown(Some((ShardsLeaf::key(), relays(2))), ShardsLeaf::key());
        assert!(certified_log(&foreign, true).is_err());
    }
}
