//! The network file: the trust root that a client is given (`spec/network.md`).

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use crate::hash::{Hash, blake3, label, sign, verify};
use crate::ids::CanisterId;

mod logged;

pub use logged::{LoggedError, LoggedNetworks};

/// Largest network file in bytes.
pub const NETWORK_MAX_BYTES: usize = 64 * 1024;
/// Longest address in a link in bytes.
pub const LINK_URL_MAX_BYTES: usize = 1_024;
/// Where a network serves its file.
pub const NETWORK_PATH: &str = "/paigham/network.cbor";

/// What a canister is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum CanisterRole {
    /// Accounts and their records.
    #[n(1)]
    Directory,
    /// Queues and inboxes; a shard.
    #[n(2)]
    Relay,
    /// Official broadcasts.
    #[n(3)]
    Bulletin,
}

/// A canister of the network, and the code and controllers that it may have.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct NetworkCanister {
    /// What it is for.
    #[n(1)]
    pub role: CanisterRole,
    /// Its principal.
    #[n(2)]
    pub id: ByteVec,
    /// SHA-256 of each module that it may run.
    #[n(3)]
    pub module_hashes: Vec<ByteArray<32>>,
    /// Principals that may change it.
    #[n(4)]
    pub controllers: Vec<ByteVec>,
}

/// Some keys, of which a number must sign.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeySet {
    /// Ed25519 public keys, ascending.
    #[n(1)]
    pub keys: Vec<ByteArray<32>>,
    /// How many must sign; 0 only where there are no keys.
    #[n(2)]
    pub threshold: u32,
}

/// What a network is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct NetworkFile {
    /// 1.
    #[n(1)]
    pub version: u16,
    /// The network, for good; random.
    #[n(2)]
    pub network: ByteArray<16>,
    /// What people call it.
    #[n(3)]
    pub name: String,
    /// Rises with each file.
    #[n(4)]
    pub sequence: u64,
    /// Unix seconds.
    #[n(5)]
    pub issued_at: u64,
    /// Unix seconds; no longer trusted afterwards.
    #[n(6)]
    pub expires_at: u64,
    /// Root key of the subnet, DER.
    #[n(7)]
    pub root_key: ByteVec,
    /// The canisters.
    #[n(8)]
    pub canisters: Vec<NetworkCanister>,
    /// Root keys of the broadcast authority.
    #[n(9)]
    pub authority: KeySet,
    /// Proof types of `spec/protocol.md` §4.4 that count in this network.
    #[n(10)]
    pub proof_types: Vec<u16>,
    /// Where the subnet's HTTP interface is.
    #[n(11)]
    pub urls: Vec<String>,
    /// Gateways.
    #[n(12)]
    pub gateways: Vec<String>,
    /// Who signs the next file.
    #[n(13)]
    pub release: KeySet,
    /// True of a network on one machine, whose keys lie in its data folder.
    #[n(14)]
    pub development: bool,
    /// Configuration of the transparency log in the directory, as its draft encodes it
    /// (`spec/transparency.md`); `None` in a network without one.
    #[n(15)]
    pub transparency: Option<ByteVec>,
    /// Auditors of the log, and how many of them clients require; `None` for none.
    #[n(16)]
    pub auditors: Option<KeySet>,
}

/// What every version of the file begins with.
#[derive(Decode)]
#[cbor(map)]
struct Versioned {
    #[n(1)]
    version: u16,
}

/// The published structure: the file's bytes and signatures, ascending by key.
#[derive(Encode, Decode)]
struct Signed {
    #[n(0)]
    file: ByteVec,
    #[n(1)]
    signatures: Vec<KeySignature>,
}

#[derive(Encode, Decode)]
struct KeySignature {
    #[n(0)]
    key: ByteArray<32>,
    #[n(1)]
    signature: ByteArray<64>,
}

/// Why bytes are not a network file to trust: the rules of `spec/network.md` §2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// NET-01, NET-03: not a network file, one in another encoding than the canonical, or with key
    /// sets or canisters of bad form.
    #[error("not a network file")]
    Malformed,
    /// NET-02: a format of the future.
    #[error("network file of version {0}; this client is too old")]
    Version(u16),
    /// NET-04, NET-05: too few of its own release keys signed, or a signature does not hold.
    #[error("too few release keys signed the network file, or a signature does not hold")]
    Signatures,
    /// NET-07: too few of the old file's release keys signed.
    #[error("too few of the trusted release keys signed the new network file")]
    NotASuccessor,
    /// NET-08: another network, or a number that does not rise.
    #[error("the network file does not follow the trusted one")]
    DoesNotFollow,
    /// NET-09: past its expiry.
    #[error("the network file has expired")]
    Expired,
    /// NET-06: a canister that clients need is missing.
    #[error("the network file names no {0}")]
    Missing(&'static str),
}

/// A network file whose signatures hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNetwork {
    file: NetworkFile,
    bytes: Vec<u8>,
}

impl NetworkFile {
    /// Signs the file with release keys, each once; the bytes are what is published.
    ///
    /// # Errors
    /// [`NetworkError::Malformed`] if the file does not encode.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, NetworkError> {
        let file = minicbor::to_vec(self).map_err(|_| NetworkError::Malformed)?;
        let mut signatures: Vec<_> = keys
            .iter()
            .map(|key| KeySignature {
                key: key.verifying_key().to_bytes().into(),
                signature: sign(key, label::NETWORK_FILE, &[&file]).into(),
            })
            .collect();
        signatures.sort_by(|a, b| a.key[..].cmp(&b.key[..]));
        signatures.dedup_by(|a, b| a.key == b.key);
        minicbor::to_vec(Signed {
            file: file.into(),
            signatures,
        })
        .map_err(|_| NetworkError::Malformed)
    }

    /// Whether key sets and canisters are as `spec/network.md` wants them.
    fn is_well_formed(&self) -> bool {
        let ids: BTreeSet<_> = self.canisters.iter().map(|entry| &entry.id[..]).collect();
        self.release.is_well_formed()
            && self.release.threshold > 0
            && self.authority.is_well_formed()
            && self.auditors.as_ref().is_none_or(KeySet::is_well_formed)
            && ids.len() == self.canisters.len()
            && ids
                .iter()
                .all(|id| !id.is_empty() && CanisterId::new(id).is_some())
    }
}

impl KeySet {
    /// Ascending keys, of which some, but no more than there are, must sign.
    fn is_well_formed(&self) -> bool {
        let ascending = self.keys.windows(2).all(|pair| pair[0][..] < pair[1][..]);
        ascending
            && self.threshold as usize <= self.keys.len()
            && (self.threshold == 0) == self.keys.is_empty()
    }

    /// How many keys of the set signed.
    fn count(&self, signed: &Signed) -> usize {
        let signs = |key: &&ByteArray<32>| signed.signatures.iter().any(|by| by.key == **key);
        self.keys.iter().filter(signs).count()
    }

    fn is_met_by(&self, signed: &Signed) -> bool {
        self.count(signed) >= self.threshold as usize
    }
}

impl Signed {
    /// Whether the signatures ascend by key and every one holds, spare ones too. Whose they may be
    /// is not asked: a successor carries those of keys that only the file before it names.
    fn holds(&self) -> bool {
        let ascending = self
            .signatures
            .windows(2)
            .all(|pair| pair[0].key[..] < pair[1].key[..]);
        ascending
            && self
                .signatures
                .iter()
                .all(|by| verify(&by.key, &by.signature, label::NETWORK_FILE, &[&self.file]))
    }
}

impl VerifiedNetwork {
    /// Checks a file that is trusted for the first time: by its own release keys.
    ///
    /// # Errors
    /// [`NetworkError`].
    ///
    /// # Security
    /// This says that the file is whole, not that it is the right one: that is for whoever gave it
    /// to the user, or for the hash in its link.
    pub fn first(bytes: &[u8], now_seconds: u64) -> Result<Self, NetworkError> {
        let (verified, _) = Self::open(bytes)?;
        if verified.file.expires_at < now_seconds {
            return Err(NetworkError::Expired);
        }
        Ok(verified)
    }

    /// Checks a file that follows this one: by the release keys of both, with a higher number.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn successor(&self, bytes: &[u8], now_seconds: u64) -> Result<Self, NetworkError> {
        let (verified, signed) = Self::open(bytes)?;
        if !self.file.release.is_met_by(&signed) {
            return Err(NetworkError::NotASuccessor);
        }
        if verified.file.network != self.file.network
            || verified.file.sequence <= self.file.sequence
        {
            return Err(NetworkError::DoesNotFollow);
        }
        if verified.file.expires_at < now_seconds {
            return Err(NetworkError::Expired);
        }
        Ok(verified)
    }

    /// A file that was verified and pinned before; its expiry is checked by whoever uses it.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn pinned(bytes: &[u8]) -> Result<Self, NetworkError> {
        Ok(Self::open(bytes)?.0)
    }

    fn open(bytes: &[u8]) -> Result<(Self, Signed), NetworkError> {
        if bytes.len() > NETWORK_MAX_BYTES {
            return Err(NetworkError::Malformed);
        }
        let signed: Signed = canonical(bytes)?;
        // The version first: a later one may have fields that this one does not know.
        let Versioned { version } =
            minicbor::decode(&signed.file).map_err(|_| NetworkError::Malformed)?;
        if version != 1 {
            return Err(NetworkError::Version(version));
        }
        let file: NetworkFile = canonical(&signed.file)?;
        if !file.is_well_formed() {
            return Err(NetworkError::Malformed);
        }
        if !signed.holds() || !file.release.is_met_by(&signed) {
            return Err(NetworkError::Signatures);
        }
        let verified = Self {
            file,
            bytes: bytes.to_vec(),
        };
        verified.directory()?;
        verified.relay()?;
        Ok((verified, signed))
    }

    /// What it says.
    #[must_use]
    pub const fn file(&self) -> &NetworkFile {
        &self.file
    }

    /// As it was published.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// BLAKE3 of the published bytes: what links, gossip and QR codes carry.
    #[must_use]
    pub fn hash(&self) -> Hash {
        blake3(&self.bytes)
    }

    /// Its directory.
    ///
    /// # Errors
    /// [`NetworkError::Missing`].
    pub fn directory(&self) -> Result<CanisterId, NetworkError> {
        self.canister(CanisterRole::Directory)
            .ok_or(NetworkError::Missing("directory"))
    }

    /// The first of its relays.
    ///
    /// # Errors
    /// [`NetworkError::Missing`].
    pub fn relay(&self) -> Result<CanisterId, NetworkError> {
        self.canister(CanisterRole::Relay)
            .ok_or(NetworkError::Missing("relay"))
    }

    /// What the file says of a canister.
    #[must_use]
    pub fn entry(&self, canister: &CanisterId) -> Option<&NetworkCanister> {
        self.file
            .canisters
            .iter()
            .find(|entry| entry.id.as_slice() == canister.as_slice())
    }

    fn canister(&self, role: CanisterRole) -> Option<CanisterId> {
        let entry = self
            .file
            .canisters
            .iter()
            .find(|entry| entry.role == role)?;
        CanisterId::new(&entry.id)
    }
}

fn canonical<T: Encode<()> + for<'a> Decode<'a, ()>>(bytes: &[u8]) -> Result<T, NetworkError> {
    let value: T = minicbor::decode(bytes).map_err(|_| NetworkError::Malformed)?;
    let again = minicbor::to_vec(&value).map_err(|_| NetworkError::Malformed)?;
    if again == bytes {
        Ok(value)
    } else {
        Err(NetworkError::Malformed)
    }
}

/// `paigham:n/<base64url BLAKE3 of the file>?at=<url>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkLink {
    /// BLAKE3 of the file.
    pub hash: Hash,
    /// Where it is served.
    pub at: String,
}

impl NetworkLink {
    /// Reads a link; `None` if the text is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (hash, at) = text.strip_prefix("paigham:n/")?.split_once("?at=")?;
        let hash = URL_SAFE_NO_PAD.decode(hash).ok()?.try_into().ok()?;
        let is_web = at.starts_with("http://") || at.starts_with("https://");
        let is_one_word = !at.contains(|c: char| c.is_whitespace() || c.is_control());
        (is_web && is_one_word && at.len() <= LINK_URL_MAX_BYTES).then(|| Self {
            hash,
            at: at.to_owned(),
        })
    }

    /// Whether bytes are the file that the link means.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        blake3(bytes) == self.hash
    }
}

impl std::fmt::Display for NetworkLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "paigham:n/{}?at={}",
            URL_SAFE_NO_PAD.encode(self.hash),
            self.at
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const NOW: u64 = 1_700_000_000;

    pub(super) fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    pub(super) fn keys(seeds: &[u8], threshold: u32) -> KeySet {
        let mut keys: Vec<ByteArray<32>> = seeds
            .iter()
            .map(|seed| key(*seed).verifying_key().to_bytes().into())
            .collect();
        keys.sort_by(|a, b| a[..].cmp(&b[..]));
        KeySet { keys, threshold }
    }

    pub(super) fn file(sequence: u64, release: KeySet) -> NetworkFile {
        let canister = |role, id: u8| NetworkCanister {
            role,
            id: vec![id; 10].into(),
            module_hashes: vec![[id; 32].into()],
            controllers: Vec::new(),
        };
        NetworkFile {
            version: 1,
            network: [4; 16].into(),
            name: "test".into(),
            sequence,
            issued_at: NOW,
            expires_at: NOW + 1_000,
            root_key: vec![1; 133].into(),
            canisters: vec![
                canister(CanisterRole::Directory, 1),
                canister(CanisterRole::Relay, 2),
            ],
            authority: keys(&[], 0),
            proof_types: vec![1],
            urls: vec!["http://127.0.0.1:1".into()],
            gateways: Vec::new(),
            release,
            development: true,
            transparency: None,
            auditors: None,
        }
    }

    /// A file counts with enough of its own signatures, until it expires.
    #[test]
    fn a_first_file_is_signed_by_its_own_keys() {
        let two_of_three = keys(&[1, 2, 3], 2);
        let signed = file(1, two_of_three.clone())
            .sign(&[&key(1), &key(3)])
            .unwrap();
        let verified = VerifiedNetwork::first(&signed, NOW).unwrap();
        assert_eq!(verified.relay().unwrap().as_slice(), [2; 10]);
        assert_eq!(
            VerifiedNetwork::first(&signed, NOW + 1_001),
            Err(NetworkError::Expired)
        );
        let one = file(1, two_of_three.clone())
            .sign(&[&key(1), &key(1)])
            .unwrap();
        assert_eq!(
            VerifiedNetwork::first(&one, NOW),
            Err(NetworkError::Signatures)
        );
        let stranger = file(1, two_of_three).sign(&[&key(1), &key(9)]).unwrap();
        assert_eq!(
            VerifiedNetwork::first(&stranger, NOW),
            Err(NetworkError::Signatures)
        );
    }

    /// A spare signature is no room for others: broken, repeated or out of order it spoils the file,
    /// although enough of the rest holds.
    #[test]
    fn spare_signatures_hold_too() {
        let release = keys(&[1, 2, 3], 1);
        let signed = file(1, release.clone()).sign(&[&key(3), &key(1)]).unwrap();
        assert_eq!(
            file(1, release).sign(&[&key(1), &key(3), &key(1)]).unwrap(),
            signed
        );
        assert!(VerifiedNetwork::first(&signed, NOW).is_ok());
        for at in 0..signed.len() {
            let mut flipped = signed.clone();
            flipped[at] ^= 1;
            assert!(VerifiedNetwork::first(&flipped, NOW).is_err(), "byte {at}");
        }
        let altered = |change: &dyn Fn(&mut Vec<KeySignature>)| {
            let mut parts: Signed = minicbor::decode(&signed).unwrap();
            change(&mut parts.signatures);
            VerifiedNetwork::first(&minicbor::to_vec(&parts).unwrap(), NOW).map(|_| ())
        };
        assert_eq!(altered(&|_| ()), Ok(()));
        assert_eq!(
            altered(&|signatures| signatures.reverse()),
            Err(NetworkError::Signatures)
        );
        let again = |signatures: &mut Vec<KeySignature>| {
            let first = &signatures[0];
            let copy = KeySignature {
                key: first.key,
                signature: first.signature,
            };
            signatures.insert(0, copy);
        };
        assert_eq!(altered(&again), Err(NetworkError::Signatures));
        assert_eq!(
            altered(&|signatures| signatures[1].signature = [0; 64].into()),
            Err(NetworkError::Signatures)
        );
    }

    /// A file of a later version is told from nonsense, whatever fields it has: its reader is to
    /// update the app.
    #[test]
    fn a_later_version_is_named() {
        #[derive(Encode)]
        #[cbor(map)]
        struct Later {
            #[n(1)]
            version: u16,
            #[n(2)]
            network: u8,
            #[n(99)]
            news: Vec<u8>,
        }
        let later = Later {
            version: 2,
            network: 0,
            news: vec![1, 2],
        };
        let bytes = minicbor::to_vec(Signed {
            file: minicbor::to_vec(later).unwrap().into(),
            signatures: Vec::new(),
        })
        .unwrap();
        assert_eq!(
            VerifiedNetwork::first(&bytes, NOW),
            Err(NetworkError::Version(2))
        );
    }

    /// Key sets that nobody could meet or anybody could, and canisters that are two things at
    /// once, are refused even when well signed.
    #[test]
    fn a_file_of_bad_form_is_refused() {
        let refused = |change: &dyn Fn(&mut NetworkFile)| {
            let mut file = file(1, keys(&[1], 1));
            change(&mut file);
            VerifiedNetwork::first(&file.sign(&[&key(1)]).unwrap(), NOW).unwrap_err()
        };
        let malformed: [&dyn Fn(&mut NetworkFile); 8] = [
            &|file| file.release.threshold = 0,
            &|file| file.release.threshold = 2,
            &|file| file.release.keys.insert(0, file.release.keys[0]),
            &|file| file.authority = keys(&[1, 2], 0),
            &|file| file.authority = keys(&[1, 2], 3),
            &|file| file.canisters[1].id = file.canisters[0].id.clone(),
            &|file| file.canisters[1].id = vec![1; 30].into(),
            &|file| file.canisters[1].id = Vec::new().into(),
        ];
        for (index, change) in malformed.into_iter().enumerate() {
            assert_eq!(refused(change), NetworkError::Malformed, "case {index}");
        }
        assert_eq!(
            refused(&|file| file.canisters.truncate(1)),
            NetworkError::Missing("relay")
        );
    }

    /// The next file needs the old keys' signatures too, a higher number and the same network.
    #[test]
    fn a_successor_is_signed_by_old_and_new_keys() {
        let old = file(1, keys(&[1], 1)).sign(&[&key(1)]).unwrap();
        let old = VerifiedNetwork::first(&old, NOW).unwrap();
        let next = file(2, keys(&[2], 1));
        let both = next.sign(&[&key(1), &key(2)]).unwrap();
        assert!(old.successor(&both, NOW).is_ok());
        let new_only = next.sign(&[&key(2)]).unwrap();
        assert_eq!(
            old.successor(&new_only, NOW),
            Err(NetworkError::NotASuccessor)
        );
        let same_number = file(1, keys(&[2], 1)).sign(&[&key(1), &key(2)]).unwrap();
        assert_eq!(
            old.successor(&same_number, NOW),
            Err(NetworkError::DoesNotFollow)
        );
        let mut other = file(2, keys(&[2], 1));
        other.network = [5; 16].into();
        let other = other.sign(&[&key(1), &key(2)]).unwrap();
        assert_eq!(old.successor(&other, NOW), Err(NetworkError::DoesNotFollow));
    }

    /// A link names one file and no other.
    #[test]
    fn a_link_names_one_file() {
        let signed = file(1, keys(&[1], 1)).sign(&[&key(1)]).unwrap();
        let link = NetworkLink {
            hash: blake3(&signed),
            at: "http://127.0.0.1:1/x".into(),
        };
        let parsed = NetworkLink::parse(&link.to_string()).unwrap();
        assert_eq!(parsed, link);
        assert!(parsed.matches(&signed));
        assert!(!parsed.matches(&signed[1..]));
        let good = link.to_string();
        let wrong = [
            "",
            "paigham:n/",
            "http://a",
            "paigham:n/abc?at=http://a",
            &good.replace("http:", "file:"),
            &format!("{good} {good}"),
            &format!("{good}\n"),
            &format!("{good}{}", "x".repeat(LINK_URL_MAX_BYTES)),
        ];
        for wrong in wrong {
            assert_eq!(NetworkLink::parse(wrong), None, "{wrong}");
        }
    }
}
