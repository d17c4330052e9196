//! The log as other members see it: a fork cannot report itself, so once a day a message of each
//! conversation carries what its sender has seen (`spec/client.md` §9.6).

use paigham_lookup::evidence::{Item, SaidRoot};
use paigham_lookup::finding::Finding;
use paigham_store::{Table, WriteSet};
use paigham_transparency::verifier::DistinguishedEntry;
use paigham_wire::envelope::{GOSSIP_MAX_ROOTS, Gossip, LogRoot};
use paigham_wire::ids::AccountId;
use serde::{Deserialize, Serialize};

use super::evidence::{evidence_of, own_head};
use super::problem::{Problem, ProblemKind};
use crate::client::Client;
use crate::error::ClientError;

const ROOTS: &[u8] = b"roots";
const HEARD: &[u8] = b"heard";
/// Distinguished entries that are kept, and those of others that wait to be compared: about two a
/// day, so that whoever was away for a month still meets us.
const KEPT_MAX: usize = 64;
/// How often a conversation hears of them.
pub(crate) const SAID_EVERY_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// The log at a distinguished entry, and who says so; `None` is this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Root {
    position: u64,
    root: [u8; 32],
    by: Option<[u8; 16]>,
}

fn load(set: &WriteSet, name: &[u8]) -> Result<Vec<Root>, ClientError> {
    Ok(set.get(Table::Log, name)?.unwrap_or_default())
}

/// The newest distinguished entries that this device has verified, for others to compare.
pub(crate) fn newest_roots(set: &WriteSet) -> Result<Vec<LogRoot>, ClientError> {
    let roots = load(set, ROOTS)?;
    let newest = roots.len().saturating_sub(GOSSIP_MAX_ROOTS);
    Ok(roots
        .into_iter()
        .skip(newest)
        .map(|one| LogRoot {
            position: one.position,
            root: one.root,
        })
        .collect())
}

/// Takes in what a member has seen; what this device has not come to yet waits.
pub(crate) fn hear(
    set: &WriteSet,
    by: AccountId,
    gossip: &Gossip,
    now_ns: u64,
) -> Result<(), ClientError> {
    let mut heard = load(set, HEARD)?;
    heard.extend(gossip.roots.iter().map(|said| Root {
        position: said.position,
        root: said.root,
        by: Some(by.0),
    }));
    compare(set, heard, now_ns)
}

/// Holds what members said against what this device has verified. A word about an entry that it has
/// not come to waits; of an entry that it has passed without keeping it nothing can be said.
fn compare(set: &WriteSet, heard: Vec<Root>, now_ns: u64) -> Result<(), ClientError> {
    let known = load(set, ROOTS)?;
    let newest = known.last().map_or(0, |one| one.position);
    let mut waiting = Vec::new();
    for said in heard {
        match known.iter().find(|own| own.position == said.position) {
            Some(own) if own.root != said.root => conflict(set, &said, now_ns)?,
            None if said.position > newest => waiting.push(said),
            _ => {}
        }
    }
    let too_many = waiting.len().saturating_sub(KEPT_MAX);
    waiting.drain(..too_many);
    Ok(set.put(Table::Log, HEARD, &waiting)?)
}

/// Two roots for one size of the log: one of the two devices is shown another log than everybody.
fn conflict(set: &WriteSet, said: &Root, now_ns: u64) -> Result<(), ClientError> {
    // The own head is signed, and so are the own distinguished entries, which the next sync adds;
    // what the member saw is its word until it shows its own file.
    let mut items = own_head(set)?;
    items.extend(said.by.map(|by| {
        Item::Said(SaidRoot {
            account: AccountId(by),
            position: said.position,
            root: said.root,
        })
    }));
    let evidence = evidence_of(set, Finding::Fork, items)?;
    let problem = Problem::new(ProblemKind::OtherRoots, None, now_ns, &evidence);
    problem.keep(set).map(drop)
}

impl Client {
    /// Learns of the newest distinguished entries, and compares what others said of them.
    pub(crate) async fn refresh_roots(&mut self) -> Result<(), ClientError> {
        let entries = self.distinguished().await?;
        let set = self.store.begin();
        let roots = merge(load(&set, ROOTS)?, &entries);
        set.put(Table::Log, ROOTS, &roots)?;
        compare(&set, load(&set, HEARD)?, self.connection.now_ns())?;
        self.commit(set)
    }
}

/// The verified ones, ascending, the newest kept. All are of one log: each answer continues from
/// the view before.
fn merge(mut known: Vec<Root>, entries: &[DistinguishedEntry]) -> Vec<Root> {
    let newest = known.last().map(|one| one.position);
    let new = entries
        .iter()
        .filter(|entry| newest.is_none_or(|newest| entry.position > newest));
    known.extend(new.map(|entry| Root {
        position: entry.position,
        root: entry.root,
        by: None,
    }));
    let too_many = known.len().saturating_sub(KEPT_MAX);
    known.drain(..too_many);
    known
}

#[cfg(test)]
mod tests {
    use paigham_lookup::Evidence;
    use paigham_store::{MemoryBackend, Store};

    use super::*;

    const BILAL: AccountId = AccountId([2; 16]);

    /// A home with a network.
    fn store() -> Store {
        let store = Store::on_backend(Box::new(MemoryBackend::default()), &[7; 32]).unwrap();
        let set = store.begin();
        let file = serde_bytes::ByteBuf::from(*b"network file");
        set.put(Table::Network, b"pinned", &file).unwrap();
        set.commit().unwrap();
        store
    }

    fn verified(position: u64) -> DistinguishedEntry {
        DistinguishedEntry {
            position,
            timestamp: position,
            root: [1; 32],
        }
    }

    fn said(position: u64, root: u8) -> Gossip {
        Gossip {
            seq: 1,
            head: [0; 32],
            epoch_authenticator_hash: [0; 32],
            roots: vec![LogRoot {
                position,
                root: [root; 32],
            }],
        }
    }

    fn problems(set: &WriteSet) -> usize {
        let all: Vec<(u64, Problem)> = set.scan(Table::Evidence, b"all", 0, u64::MAX).unwrap();
        all.len()
    }

    /// Who sees the same log agrees, whether a little ahead or behind; who has nothing in common
    /// with us says nothing.
    #[test]
    fn the_same_log_agrees() {
        let set = store().begin();
        let roots = merge(Vec::new(), &[verified(3), verified(7)]);
        set.put(Table::Log, ROOTS, &roots).unwrap();
        for gossip in [said(3, 1), said(7, 1), said(5, 9)] {
            hear(&set, BILAL, &gossip, 1).unwrap();
        }
        hear(&set, BILAL, &said(15, 1), 1).unwrap();
        let roots = merge(roots, &[verified(7), verified(15)]);
        assert_eq!(roots.len(), 3);
        set.put(Table::Log, ROOTS, &roots).unwrap();
        compare(&set, load(&set, HEARD).unwrap(), 1).unwrap();
        assert_eq!(load(&set, HEARD).unwrap(), []);
        assert_eq!(problems(&set), 0);
    }

    /// Another root for an entry that this device has verified is a problem, whether it is heard
    /// before or afterwards, and once.
    #[test]
    fn another_log_is_a_problem() {
        let set = store().begin();
        hear(&set, BILAL, &said(7, 9), 1).unwrap();
        assert_eq!(problems(&set), 0, "not seen yet");
        let roots = merge(Vec::new(), &[verified(3), verified(7)]);
        set.put(Table::Log, ROOTS, &roots).unwrap();
        compare(&set, load(&set, HEARD).unwrap(), 1).unwrap();
        assert_eq!(problems(&set), 1);
        let all: Vec<(u64, Problem)> = set.scan(Table::Evidence, b"all", 0, u64::MAX).unwrap();
        let file = Evidence::from_bytes(&all[0].1.evidence).unwrap();
        let said = SaidRoot {
            account: BILAL,
            position: 7,
            root: [9; 32],
        };
        assert_eq!(file.items, [Item::Said(said)]);
        hear(&set, BILAL, &self::said(3, 9), 1).unwrap();
        assert_eq!(problems(&set), 1, "one log, one problem");
    }

    /// Words about a far future, as many as may come, take bounded room.
    #[test]
    fn what_waits_is_bounded() {
        let set = store().begin();
        for position in 0..3 * KEPT_MAX as u64 {
            hear(&set, BILAL, &said(position + 1, 9), 1).unwrap();
        }
        assert_eq!(load(&set, HEARD).unwrap().len(), KEPT_MAX);
    }
}
