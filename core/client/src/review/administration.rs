//! Who administers a canister and what they did, for anybody to read (`spec/protocol.md` §6.6).

use paigham_wire::admin::{
    AdminEntry, AdminLogReply, AdminLogRequest, AdminRefusal, AdminSet, OpenProposal,
};
use paigham_wire::codec::decode;
use paigham_wire::hash::Hash;
use paigham_wire::ids::CanisterId;
use paigham_wire::leaf::{Leaf, ShardLeaf, ShardsLeaf};
use paigham_wire::map::Found;

use super::{ReviewError, Reviewer};
use crate::connection::{Certified, CertifiedReply};
use crate::error::{ClientError, NotVerified};

/// Log and administrators of one canister.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administered {
    /// Who administers, as the canister says; where the log has a `SetAdmins`, its last one.
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
            if log.follow(reply.entries, certified_log(&certified)?)? {
                return Ok(Administered {
                    admins: reply.admins,
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

/// Number of entries and head; nothing was executed where no leaf is.
fn certified_log(certified: &Certified) -> Result<(u32, Hash), ClientError> {
    for key in [ShardLeaf::key(), ShardsLeaf::key()] {
        match certified.witness.get(&key) {
            Ok(Found::Present(leaf)) => {
                return match decode(leaf) {
                    Ok(Leaf::Shard(leaf)) => Ok((leaf.admin_entries, leaf.admin_head)),
                    Ok(Leaf::Shards(leaf)) => Ok((leaf.admin_entries, leaf.admin_head)),
                    _ => Err(NotVerified::Malformed("admin_log").into()),
                };
            }
            Ok(Found::Absent) => return Ok((0, [0; 32])),
            // The other kind of canister.
            Err(_) => {}
        }
    }
    Err(NotVerified::Malformed("admin_log").into())
}

#[cfg(test)]
mod tests {
    use paigham_wire::admin::{Action, Proposal};
    use paigham_wire::ids::PrincipalId;
    use paigham_wire::ticket::Difficulties;

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
}
