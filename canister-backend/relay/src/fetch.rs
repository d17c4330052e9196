//! Reading queues.

use ic_stable_structures::Memory;
use paigham_wire::codec::decode;
use paigham_wire::leaf::QueueLeaf;
use paigham_wire::relay::{
    Entry, FETCH_MAX_BYTES, FETCH_MAX_QUEUES, FetchItem, FetchRefusal, FetchReply, FetchRequest,
    FetchWhat, FetchedItem, RelayError,
};

use crate::limits::FETCH_MAX_DIGESTS;
use crate::records::{Payload, TokenRecord};
use crate::relay::{Relay, get, numbered, paired};

/// Bytes of an entry beside its envelope.
const ENTRY_OVERHEAD_BYTES: usize = 128;
/// Bytes of a digest.
const DIGEST_BYTES: usize = 40;

/// What of a reply is left. Entries and digests share its bytes: a query reply of more than 3 MiB
/// would be none.
struct Room {
    bytes: usize,
    digests: usize,
}

impl<M: Memory> Relay<M> {
    /// Entries or digests of some queues, with a witness over all of them.
    pub(crate) fn fetch(
        &self,
        request: &[u8],
        certificate: Vec<u8>,
    ) -> Result<FetchReply, RelayError> {
        let request: FetchRequest = decode(request).map_err(|_| RelayError::Malformed)?;
        if request.items.len() > FETCH_MAX_QUEUES {
            return Err(RelayError::TooLarge);
        }
        let keys: Vec<_> = request.items.iter().map(|item| item.queue.0).collect();
        let mut room = Room {
            bytes: FETCH_MAX_BYTES,
            digests: FETCH_MAX_DIGESTS,
        };
        let items = request
            .items
            .iter()
            .map(|item| {
                self.fetch_one(item, &mut room)
                    .unwrap_or_else(FetchedItem::Refused)
            })
            .collect();
        let witness = self.witness(&keys).into();
        Ok(FetchReply {
            certificate: certificate.into(),
            witness,
            items,
        })
    }

    fn fetch_one(&self, item: &FetchItem, room: &mut Room) -> Result<FetchedItem, FetchRefusal> {
        let leaf = self
            .queue(&item.queue)
            .ok_or(FetchRefusal::NoSuchQueue)?
            .leaf;
        let token: TokenRecord = get(&self.tokens, &paired(&item.queue.0, &item.token.hash()))
            .ok_or(FetchRefusal::UnknownToken)?;
        let from = item.from_seq.max(leaf.first_seq);
        match item.what {
            FetchWhat::Digests => Ok(self.fetch_digests(item, from, &leaf, room)),
            FetchWhat::Entries => {
                let last = if token.end == 0 { leaf.seq } else { token.end };
                if token.end != 0 && from > token.end {
                    return Err(FetchRefusal::GenerationOver);
                }
                Ok(self.fetch_entries(item, from, last, &leaf, room))
            }
        }
    }

    fn fetch_digests(
        &self,
        item: &FetchItem,
        from: u32,
        leaf: &QueueLeaf,
        room: &mut Room,
    ) -> FetchedItem {
        let digests: Vec<_> = self
            .digests_from(&item.queue, leaf, from)
            .take(room.digests.min(room.bytes / DIGEST_BYTES))
            .map(|(_, digest)| digest)
            .collect();
        room.digests -= digests.len();
        room.bytes -= digests.len() * DIGEST_BYTES;
        FetchedItem::Digests(digests)
    }

    fn fetch_entries(
        &self,
        item: &FetchItem,
        from: u32,
        last: u32,
        leaf: &QueueLeaf,
        room: &mut Room,
    ) -> FetchedItem {
        let mut entries = Vec::new();
        if from > last {
            return FetchedItem::Entries(entries);
        }
        let range = numbered(&item.queue.0, from)..=numbered(&item.queue.0, last);
        let payloads = self.payloads.values_range(range);
        for ((seq, digest), payload) in self.digests_from(&item.queue, leaf, from).zip(payloads) {
            let Ok(payload) = decode::<Payload>(&payload) else {
                break;
            };
            let bytes = ENTRY_OVERHEAD_BYTES + payload.envelope.as_slice().len();
            // The first entry of a reply always fits, so that a reader gets on.
            if bytes > room.bytes && room.bytes < FETCH_MAX_BYTES {
                break;
            }
            room.bytes = room.bytes.saturating_sub(bytes);
            entries.push(Entry {
                seq,
                accepted_at: digest.accepted_at,
                header: payload.header,
                keys_hash: payload.keys_hash,
                envelope: payload.envelope,
            });
        }
        FetchedItem::Entries(entries)
    }
}
