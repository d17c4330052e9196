//! What a node can say instead of the truth.

use ic_transport_types::TransportCallResponse;
use paigham_wire::codec::{decode_result, encode_result};
use paigham_wire::directory::DirectoryError;
use paigham_wire::frame::{PostHeader, PostKind};
use paigham_wire::map::Witness;
use paigham_wire::relay::{
    Entry, FetchReply, FetchRequest, FetchedItem, InboxReply, PoolReply, RelayError, WelcomeReply,
};
use paigham_wire::shards::ShardsReply;
use tls_codec::{DeserializeBytes, Serialize, VLBytes};

use super::Exchange;

/// Queries whose replies carry certificate and witness.
pub const CERTIFIED_METHODS: [&str; 5] = ["fetch", "pool", "read_inbox", "shards", "welcome"];

/// One way of lying. Each leaves everything else as the subnet said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// One bit of one byte of a method's reply is turned over: the byte at `part / of` of its
    /// length. Of an update it is the certificate that is changed.
    FlippedByte {
        /// Which method.
        method: &'static str,
        /// Which part,
        part: usize,
        /// of how many.
        of: usize,
    },
    /// The new entries under an earlier certificate with its witness.
    OlderProof,
    /// All of the first reply ever given about the same queues or inbox.
    OlderReply,
    /// All of the reply before this one: what an honest node says that is a little behind.
    LaggingReply,
    /// The certificate of the other canister, which is as fresh and as genuine.
    ForeignCertificate,
    /// The oldest entry is left out, as if it had expired.
    EntryExpired,
    /// An entry in the middle is left out.
    EntryDropped,
    /// Two entries change places.
    EntriesSwapped,
    /// An entry comes twice.
    EntryReplayed,
    /// Two entries change places, and their numbers are put right.
    EntriesRenumbered,
    /// The newest entry is left out; the certificate still counts it.
    HeadWithheld,
    /// No entries at all, as if there were none.
    AllWithheld,
    /// The relay is said to refuse the read token.
    Refused,
    /// The second half of the reply is missing.
    Truncated,
    /// No commits at all, as if there were none.
    CommitsWithheld,
    /// The oldest commit is left out, as if it had expired.
    CommitExpired,
    /// A commit in the middle is left out.
    CommitDropped,
    /// The newest commit is left out; the certificate still counts it.
    NewestCommitWithheld,
    /// Two commits change places.
    CommitsSwapped,
    /// A commit comes twice.
    CommitReplayed,
    /// A commit is said to have been accepted at another time.
    CommitRedated,
    /// A commit of another queue, in place of the one that started the same epoch.
    ForeignCommit,
    /// Entries in place of commits.
    EntriesForCommits,
}

impl Lie {
    /// All of them, byte flips aside.
    pub const ALL: [Self; 13] = [
        Self::OlderProof,
        Self::OlderReply,
        Self::LaggingReply,
        Self::ForeignCertificate,
        Self::EntryExpired,
        Self::EntryDropped,
        Self::EntriesSwapped,
        Self::EntryReplayed,
        Self::EntriesRenumbered,
        Self::HeadWithheld,
        Self::AllWithheld,
        Self::Refused,
        Self::Truncated,
    ];

    /// Lies about commits, told to whom entries have expired.
    pub const ABOUT_COMMITS: [Self; 9] = [
        Self::CommitsWithheld,
        Self::CommitExpired,
        Self::CommitDropped,
        Self::CommitsSwapped,
        Self::CommitReplayed,
        Self::CommitRedated,
        Self::ForeignCommit,
        Self::EntriesForCommits,
        // Those in front of it are true, and taken.
        Self::NewestCommitWithheld,
    ];

    /// What the node says in place of an honest reply; `None` where this lie does not fit.
    pub(super) fn tell(&self, honest: &Exchange, earlier: &[Exchange]) -> Option<Vec<u8>> {
        let reply = &honest.reply;
        let told = match self {
            Self::FlippedByte { method, part, of } if *method == honest.method => {
                flipped(reply, *part, *of)
            }
            Self::FlippedByte { .. } => None,
            Self::OlderProof => {
                let older = older(honest, earlier).last()?;
                let (certificate, witness) = proof_of(older)?;
                with_proof(honest, Some(certificate), Some(witness))
            }
            Self::OlderReply => Some(older(honest, earlier).next()?.reply.clone()),
            Self::LaggingReply => Some(older(honest, earlier).last()?.reply.clone()),
            Self::ForeignCertificate => {
                let other = |exchange: &&Exchange| exchange.canister != honest.canister;
                let foreign = earlier.iter().rev().filter(other).find_map(proof_of)?;
                with_proof(honest, Some(foreign.0), None)
            }
            Self::EntryExpired => with_entries(honest, 2, |entries| drop(entries.remove(0))),
            Self::EntryDropped => with_entries(honest, 3, |entries| drop(entries.remove(1))),
            Self::EntriesSwapped => with_entries(honest, 2, |entries| entries.swap(0, 1)),
            Self::EntryReplayed => {
                with_entries(honest, 1, |entries| entries.insert(1, entries[0].clone()))
            }
            Self::EntriesRenumbered => with_entries(honest, 2, |entries| {
                let first = entries[0].seq;
                entries.swap(0, 1);
                (entries[0].seq, entries[1].seq) = (first, first + 1);
            }),
            Self::HeadWithheld => with_entries(honest, 1, |entries| drop(entries.pop())),
            Self::AllWithheld => with_entries(honest, 1, Vec::clear),
            Self::Refused => with_items(honest, |item| {
                let entries = matches!(item, FetchedItem::Entries(entries) if !entries.is_empty());
                if entries {
                    *item = FetchedItem::Refused(paigham_wire::relay::FetchRefusal::UnknownToken);
                }
            }),
            Self::Truncated => is_certified(honest).then(|| reply[..reply.len() / 2].to_vec()),
            Self::CommitsWithheld => with_commits(honest, 1, Vec::clear),
            Self::CommitExpired => with_commits(honest, 2, |commits| drop(commits.remove(0))),
            Self::CommitDropped => with_commits(honest, 3, |commits| drop(commits.remove(1))),
            Self::NewestCommitWithheld => with_commits(honest, 1, |commits| drop(commits.pop())),
            Self::CommitsSwapped => with_commits(honest, 2, |commits| commits.swap(0, 1)),
            Self::CommitReplayed => {
                with_commits(honest, 1, |commits| commits.insert(1, commits[0].clone()))
            }
            Self::CommitRedated => with_commits(honest, 1, |commits| commits[0].accepted_at += 1),
            Self::ForeignCommit => with_commits(honest, 1, |commits| {
                if let Some(foreign) = foreign_commit(&commits[0], earlier) {
                    commits[0] = foreign;
                }
            }),
            Self::EntriesForCommits => with_items(honest, |item| {
                if let FetchedItem::Commits(commits) = item {
                    *item = FetchedItem::Entries(std::mem::take(commits));
                }
            }),
        };
        told.filter(|told| told != reply)
    }

    /// What the node says in place of the certified answer to an update.
    pub(super) fn tell_of_update(&self, method: &str, answer: &[u8]) -> Option<Vec<u8>> {
        let Self::FlippedByte {
            method: wanted,
            part,
            of,
        } = self
        else {
            return None;
        };
        if *wanted != method {
            return None;
        }
        match serde_cbor::from_slice(answer).ok()? {
            TransportCallResponse::Replied { certificate } => {
                let certificate = flipped(&certificate, *part, *of)?;
                serde_cbor::to_vec(&TransportCallResponse::Replied { certificate }).ok()
            }
            _ => None,
        }
    }
}

fn flipped(bytes: &[u8], part: usize, of: usize) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let at = bytes.len() * part / of;
    *bytes.get_mut(at)? ^= 1 << (part % 8);
    Some(bytes)
}

fn is_certified(exchange: &Exchange) -> bool {
    CERTIFIED_METHODS.contains(&exchange.method.as_str())
}

/// Earlier replies about the same things that were certified over another state, oldest first.
fn older<'a>(
    honest: &'a Exchange,
    earlier: &'a [Exchange],
) -> impl Iterator<Item = &'a Exchange> + use<'a> {
    let (root, about) = (root_of(honest), subject(honest));
    earlier.iter().filter(move |exchange| {
        exchange.canister == honest.canister
            && exchange.method == honest.method
            && subject(exchange) == about
            && root.is_some()
            && root_of(exchange).is_some_and(|older| Some(older) != root)
    })
}

/// What a request is about, without the position that is read from.
fn subject(exchange: &Exchange) -> Vec<u8> {
    match exchange.method.as_str() {
        "fetch" => {
            let request: Option<FetchRequest> = paigham_wire::codec::decode(&exchange.request).ok();
            let items = request.map(|request| request.items).unwrap_or_default();
            items.iter().flat_map(|item| item.queue.0).collect()
        }
        // The inbox id; position, time and signature follow.
        "read_inbox" => exchange.request.iter().take(32).copied().collect(),
        _ => exchange.request.clone(),
    }
}

fn root_of(exchange: &Exchange) -> Option<[u8; 32]> {
    let (_, witness) = proof_of(exchange)?;
    Some(Witness::decode(witness.as_slice()).ok()?.root())
}

/// A reply that carries certificate and witness.
trait Certified: Serialize + DeserializeBytes {
    type Error: Serialize + DeserializeBytes;
    fn proof(&mut self) -> (&mut VLBytes, &mut VLBytes);
}

macro_rules! certified {
    ($($reply:ty: $error:ty),*) => {
        $(impl Certified for $reply {
            type Error = $error;
            fn proof(&mut self) -> (&mut VLBytes, &mut VLBytes) {
                (&mut self.certificate, &mut self.witness)
            }
        })*
    };
}
certified!(
    FetchReply: RelayError,
    InboxReply: RelayError,
    PoolReply: RelayError,
    WelcomeReply: RelayError,
    ShardsReply: DirectoryError
);

fn proof_of(exchange: &Exchange) -> Option<(VLBytes, VLBytes)> {
    let mut proof = None;
    edit_proof(exchange, |certificate, witness| {
        proof = Some((certificate.clone(), witness.clone()));
    })?;
    proof
}

fn with_proof(
    exchange: &Exchange,
    certificate: Option<VLBytes>,
    witness: Option<VLBytes>,
) -> Option<Vec<u8>> {
    edit_proof(exchange, |old_certificate, old_witness| {
        if let Some(certificate) = certificate {
            *old_certificate = certificate;
        }
        if let Some(witness) = witness {
            *old_witness = witness;
        }
    })
}

fn edit_proof(
    exchange: &Exchange,
    change: impl FnOnce(&mut VLBytes, &mut VLBytes),
) -> Option<Vec<u8>> {
    fn edit<T: Certified>(
        reply: &[u8],
        change: impl FnOnce(&mut VLBytes, &mut VLBytes),
    ) -> Option<Vec<u8>> {
        let mut decoded = decode_result::<T, T::Error>(reply).ok()?.ok()?;
        let (certificate, witness) = decoded.proof();
        change(certificate, witness);
        Some(encode_result::<T, T::Error>(&Ok(decoded)))
    }
    match exchange.method.as_str() {
        "fetch" => edit::<FetchReply>(&exchange.reply, change),
        "pool" => edit::<PoolReply>(&exchange.reply, change),
        "read_inbox" => edit::<InboxReply>(&exchange.reply, change),
        "shards" => edit::<ShardsReply>(&exchange.reply, change),
        "welcome" => edit::<WelcomeReply>(&exchange.reply, change),
        _ => None,
    }
}

/// Changes the items of a `fetch`.
fn with_items(exchange: &Exchange, change: impl Fn(&mut FetchedItem)) -> Option<Vec<u8>> {
    if exchange.method != "fetch" {
        return None;
    }
    let mut reply = decode_result::<FetchReply, RelayError>(&exchange.reply)
        .ok()?
        .ok()?;
    reply.items.iter_mut().for_each(change);
    Some(encode_result::<_, RelayError>(&Ok(reply)))
}

/// Changes the entries of every item of a `fetch` that has at least so many.
fn with_entries(
    exchange: &Exchange,
    at_least: usize,
    change: impl Fn(&mut Vec<Entry>),
) -> Option<Vec<u8>> {
    with_items(exchange, |item| match item {
        FetchedItem::Entries(entries) if entries.len() >= at_least => change(entries),
        FetchedItem::Entries(_)
        | FetchedItem::Digests(_)
        | FetchedItem::Commits(_)
        | FetchedItem::CommitDigests(_)
        | FetchedItem::Refused(_) => {}
    })
}

/// Changes the commits of every item of a `fetch` that has at least so many.
fn with_commits(
    exchange: &Exchange,
    at_least: usize,
    change: impl Fn(&mut Vec<Entry>),
) -> Option<Vec<u8>> {
    with_items(exchange, |item| match item {
        FetchedItem::Commits(commits) if commits.len() >= at_least => change(commits),
        FetchedItem::Commits(_)
        | FetchedItem::CommitDigests(_)
        | FetchedItem::Entries(_)
        | FetchedItem::Digests(_)
        | FetchedItem::Refused(_) => {}
    })
}

/// The commit that started the same epoch in another queue, as it was once answered.
fn foreign_commit(commit: &Entry, earlier: &[Exchange]) -> Option<Entry> {
    let header = PostHeader::from_bytes(&commit.header).ok()?;
    let replies = earlier.iter().filter(|exchange| exchange.method == "fetch");
    let items = replies
        .filter_map(|exchange| {
            decode_result::<FetchReply, RelayError>(&exchange.reply)
                .ok()?
                .ok()
        })
        .flat_map(|reply| reply.items);
    let mut entries = items.flat_map(|item| match item {
        FetchedItem::Entries(entries) | FetchedItem::Commits(entries) => entries,
        _ => Vec::new(),
    });
    entries.find(|entry| {
        let other = PostHeader::from_bytes(&entry.header);
        other.is_ok_and(|other| {
            other.kind == PostKind::Commit
                && other.queue != header.queue
                && other.epoch == header.epoch
        })
    })
}
