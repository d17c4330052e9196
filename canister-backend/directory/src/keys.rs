//! What the directory draws once, for good, and never tells: the VRF key, and the key that openings
//! are derived under.
//!
//! Both come from one draw of `raw_rand`. It is stored before anything is made from it, in the
//! update that draws it, and never replaced: another VRF key would be another log.
//!
//! # Security
//! Nodes of the subnet can read stable memory, so they can tell which labels are in the log; the
//! key lets nobody change what the log says. No method gives out the draw or anything that it could
//! be computed from.

use hmac::{Hmac, KeyInit, Mac};
use ic_stable_structures::{Memory, StableCell};
use paigham_transparency::hash::{Label, OPENING_LEN, Opening};
use paigham_transparency::vrf::VrfSecretKey;
use paigham_wire::hash::{Hash, label, sha256_labelled};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The keys of a log.
pub(crate) struct Keys {
    pub vrf: VrfSecretKey,
    openings: Zeroizing<Hash>,
}

impl Keys {
    fn from_draw(draw: &[u8; 32]) -> Self {
        let seed = Zeroizing::new(sha256_labelled(label::DIRECTORY_VRF, &[draw]));
        Self {
            vrf: VrfSecretKey::from_seed(&seed),
            openings: Zeroizing::new(sha256_labelled(label::DIRECTORY_OPENINGS, &[draw])),
        }
    }

    /// The opening of a version: HMAC-SHA256 under a key of its own over the version's VRF input,
    /// cut to 16 bytes. It looks random to whoever lacks the key, and no version has two.
    pub(crate) fn opening(&self, label: &Label, version: u32) -> Opening {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&*self.openings).expect("HMAC takes keys of any length");
        mac.update(&label.vrf_input(version));
        let mut opening = [0; OPENING_LEN];
        opening.copy_from_slice(&mac.finalize().into_bytes()[..OPENING_LEN]);
        opening
    }
}

/// Where the draw lies; empty until there is one.
pub(crate) struct KeyStore<M: Memory> {
    cell: StableCell<Vec<u8>, M>,
    keys: Option<Keys>,
}

impl<M: Memory> KeyStore<M> {
    pub(crate) fn open(memory: M) -> Self {
        let cell = StableCell::init(memory, Vec::new());
        let draw = Zeroizing::new(cell.get().clone());
        let keys = <&[u8; 32]>::try_from(draw.as_slice()).ok();
        Self {
            keys: keys.map(Keys::from_draw),
            cell,
        }
    }

    pub(crate) const fn keys(&self) -> Option<&Keys> {
        self.keys.as_ref()
    }

    /// Takes the first draw; later ones are thrown away.
    pub(crate) fn draw(&mut self, draw: &[u8; 32]) {
        if self.keys.is_none() {
            self.cell.set(draw.to_vec());
            self.keys = Some(Keys::from_draw(draw));
        }
    }
}

#[cfg(test)]
mod tests {
    use ic_stable_structures::VectorMemory;

    use super::*;

    /// The first draw counts for good, also after the code was replaced.
    #[test]
    fn keys_are_drawn_once() {
        let memory = VectorMemory::default();
        let mut store = KeyStore::open(memory.clone());
        assert!(store.keys().is_none());
        store.draw(&[1; 32]);
        let label = Label::new(b"a:1".to_vec()).unwrap();
        let public = |store: &KeyStore<VectorMemory>| {
            let keys = store.keys().unwrap();
            (*keys.vrf.public_key().as_bytes(), keys.opening(&label, 3))
        };
        let first = public(&store);
        store.draw(&[2; 32]);
        assert_eq!(public(&store), first);
        assert_eq!(public(&KeyStore::open(memory)), first);
    }

    /// Openings of two versions, labels or logs differ.
    #[test]
    fn openings_differ() {
        let (a, b) = (Keys::from_draw(&[1; 32]), Keys::from_draw(&[2; 32]));
        let label = |name: &[u8]| Label::new(name.to_vec()).unwrap();
        let opening = a.opening(&label(b"a:1"), 0);
        assert_ne!(a.opening(&label(b"a:1"), 1), opening);
        assert_ne!(a.opening(&label(b"a:2"), 0), opening);
        assert_ne!(b.opening(&label(b"a:1"), 0), opening);
    }
}
