//! Versions that were accepted and wait for an entry.
//!
//! ```text
//! queue    class u8 ‖ number u64 (big-endian) → Waiting
//! labels   SHA-256 of the label → key in the queue
//! number   the next number
//! ```
//! So the queue is in the order of publishing, and a label has at most one version in it.

use ic_stable_structures::{Memory, StableBTreeMap, StableCell};
use paigham_transparency::hash::Label;
use paigham_wire::codec::{decode, encode};
use paigham_wire::hash::sha256;
use paigham_wire::log::Submission;
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};

/// Versions that wait at most. Of identity records about 16 MiB; at 255 an entry and an entry every
/// two seconds they are through in two minutes.
pub const PENDING_MAX: u64 = 16_384;

const KEY_BYTES: usize = 9;

/// In which order versions are published: first these, then by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Class {
    /// What takes power from a thief, and network files.
    Urgent = 0,
    /// Everything else.
    Usual = 1,
}

/// A version that waits.
#[derive(Debug, Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Waiting {
    pub label: VLBytes,
    pub version: u32,
    pub submission: Submission,
}

/// Its place in the queue.
pub(crate) type QueueKey = [u8; KEY_BYTES];

/// The queue.
pub(crate) struct Pending<M: Memory> {
    queue: StableBTreeMap<QueueKey, Vec<u8>, M>,
    labels: StableBTreeMap<[u8; 32], QueueKey, M>,
    number: StableCell<u64, M>,
}

impl<M: Memory> Pending<M> {
    /// Opens it in the memories of its three parts.
    pub(crate) fn open(queue: M, labels: M, number: M) -> Self {
        Self {
            queue: StableBTreeMap::init(queue),
            labels: StableBTreeMap::init(labels),
            number: StableCell::init(number, 0),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= PENDING_MAX
    }

    /// What waits for a label.
    pub(crate) fn of(&self, label: &Label) -> Option<Waiting> {
        let key = self.labels.get(&sha256(label.as_bytes()))?;
        decode(&self.queue.get(&key)?).ok()
    }

    /// Takes a version in behind those of its class. The label must have none in the queue.
    pub(crate) fn add(&mut self, class: Class, waiting: &Waiting) {
        let number = *self.number.get();
        let mut key = [0; KEY_BYTES];
        key[0] = class as u8;
        key[1..].copy_from_slice(&number.to_be_bytes());
        self.number.set(number.wrapping_add(1));
        self.labels.insert(sha256(waiting.label.as_slice()), key);
        self.queue.insert(key, encode(waiting));
    }

    /// The first so many.
    pub(crate) fn first(&self, most: usize) -> Vec<(QueueKey, Option<Waiting>)> {
        self.queue
            .iter()
            .take(most)
            .map(|entry| (*entry.key(), decode(&entry.value()).ok()))
            .collect()
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, key: &QueueKey) {
        let removed = self.queue.remove(key);
        if let Some(Ok(waiting)) = removed.map(|bytes| decode::<Waiting>(&bytes)) {
            self.labels.remove(&sha256(waiting.label.as_slice()));
        }
    }
}

#[cfg(test)]
mod tests {
    use ic_stable_structures::VectorMemory;

    use super::*;

    fn waiting(name: u8) -> Waiting {
        Waiting {
            label: vec![name].into(),
            version: 0,
            submission: Submission::Identity(vec![name].into()),
        }
    }

    /// A freeze that came last goes first; the others go as they came, also after the code was
    /// replaced.
    #[test]
    fn the_queue_has_an_order() {
        let memory: [VectorMemory; 3] = Default::default();
        let open = || {
            let [queue, labels, number] = memory.clone();
            Pending::open(queue, labels, number)
        };
        let mut pending = open();
        pending.add(Class::Usual, &waiting(2));
        pending.add(Class::Usual, &waiting(1));
        let mut pending = open();
        pending.add(Class::Urgent, &waiting(3));
        let order: Vec<_> = pending
            .first(9)
            .into_iter()
            .map(|(_, one)| one.unwrap())
            .collect();
        assert_eq!(order, [waiting(3), waiting(2), waiting(1)]);
        assert_eq!(pending.first(1).len(), 1);
        let label = Label::new(vec![2]).unwrap();
        assert_eq!(pending.of(&label), Some(waiting(2)));
        let (key, _) = pending.first(2)[1].clone();
        pending.remove(&key);
        assert_eq!(pending.of(&label), None);
        assert_eq!(pending.first(9).len(), 2);
    }
}
