//! Brings a subnet to what this program embeds, and says so in a signed file.

use candid::Principal;
use ed25519_dalek::SigningKey;
use paigham_modules::{DIRECTORY, RELAY, module_hash};
use paigham_subnet::{CanisterStatus, Subnet};
use paigham_wire::admin::InitArgument;
use paigham_wire::codec::encode;
use paigham_wire::directory::{DirectoryArgument, DirectoryError};
use paigham_wire::envelope::PROOF_LOG;
use paigham_wire::network::{CanisterRole, KeySet, NetworkCanister, NetworkFile, VerifiedNetwork};
use paigham_wire::ticket::Difficulties;
use serde_bytes::ByteBuf;

use crate::error::NetworkUpError;
use crate::layout::Contents;
use crate::log::{Asker, DirectoryLog, LogError};

/// What people read of any network that this crate makes.
const NAME: &str = "Paigham development network";
/// How long a file is trusted: a year.
const LIFETIME_SECONDS: u64 = 365 * 24 * 60 * 60;
/// A file with less than this left is replaced at the next start.
const RENEW_SECONDS: u64 = LIFETIME_SECONDS / 2;
/// Work that tickets need: hardly any, so that tests and demos stay fast. A network for a country
/// is deployed without this argument, and has the defaults.
const DEVELOPMENT_BITS: u8 = 8;
/// The proof types that count: certified reads of the directory (`spec/protocol.md` §4.4).
const PROOF_TYPES: [u16; 1] = [PROOF_LOG];

/// A canister of every network.
pub(crate) struct Part {
    pub role: CanisterRole,
    pub name: &'static str,
    pub module: &'static [u8],
}

impl Part {
    /// The argument of its install. Who first brings the directory a network file either has the
    /// release key that it is installed with, or controls or administers it.
    pub(crate) fn argument(&self, common: InitArgument, release_key: Option<[u8; 32]>) -> Vec<u8> {
        let argument = match self.role {
            CanisterRole::Directory => encode(&DirectoryArgument {
                common,
                release_key,
            }),
            CanisterRole::Relay | CanisterRole::Bulletin => encode(&common),
        };
        candid::encode_one(Some(ByteBuf::from(argument))).expect("Candid has every vector of bytes")
    }
}

pub(crate) const DIRECTORY_PART: Part = Part {
    role: CanisterRole::Directory,
    name: "directory",
    module: DIRECTORY,
};
pub(crate) const RELAY_PART: Part = Part {
    role: CanisterRole::Relay,
    name: "relay",
    module: RELAY,
};

/// The part that a file's entry is for.
pub(crate) fn part_of(role: CanisterRole) -> Result<&'static Part, NetworkUpError> {
    match role {
        CanisterRole::Directory => Ok(&DIRECTORY_PART),
        CanisterRole::Relay => Ok(&RELAY_PART),
        CanisterRole::Bulletin => Err(NetworkUpError::Layout(
            "the network file names a canister that this program has no module for",
        )),
    }
}

/// Who signs, and what a first file calls the network.
pub(crate) struct Signer {
    key: SigningKey,
    network: [u8; 16],
}

impl Signer {
    /// The network's id comes from the first release key, which is random: a start that was
    /// interrupted goes on with the same network.
    pub(crate) fn of_release_key(key: SigningKey) -> Self {
        let public = key.verifying_key().to_bytes();
        let mut network = [0; 16];
        network.copy_from_slice(&blake3::hash(&public).as_bytes()[..16]);
        Self { key, network }
    }

    /// Key and network of a test.
    pub(crate) fn from_seed(seed: [u8; 32]) -> Self {
        let mut network = [0; 16];
        network.copy_from_slice(&blake3::hash(&seed).as_bytes()[..16]);
        Self {
            key: SigningKey::from_bytes(&seed),
            network,
        }
    }

    fn key_set(&self) -> KeySet {
        KeySet {
            keys: vec![self.key.verifying_key().to_bytes().into()],
            threshold: 1,
        }
    }
}

/// Installs or upgrades what differs, and gives the network file that says what now runs:
/// `previous` itself if it still does.
pub(crate) async fn assemble(
    subnets: &[Subnet],
    contents: &Contents,
    signer: &Signer,
    previous: Option<&VerifiedNetwork>,
) -> Result<VerifiedNetwork, NetworkUpError> {
    let first_subnet = subnets.first().ok_or(NetworkUpError::NoNetwork)?;
    if let Some(previous) = previous {
        belongs_to(previous, first_subnet, signer)?;
    }
    let mut canisters = Vec::new();
    for (index, subnet) in subnets.iter().enumerate() {
        let before = if index == 0 {
            &[DIRECTORY_PART][..]
        } else {
            &[]
        };
        canisters.extend(on_subnet(subnet, before, contents.relays, previous, signer).await?);
    }
    let now_ns = first_subnet.status().await?.time_ns;
    let now_seconds = now_ns / 1_000_000_000;
    let asker = Asker::on(first_subnet, now_ns)?;
    let previous = match previous {
        Some(previous) => settled(&asker, previous, now_seconds).await?,
        None => {
            let root_key = first_subnet.root_key_der();
            let file = first_file(root_key, canisters.clone(), contents, signer, now_seconds);
            begin(&asker, file, signer).await?
        }
    };
    match successor(&previous, canisters, contents, now_seconds) {
        Some(next) => logged(&asker, publishable(&next, signer)?).await,
        None => Ok(previous),
    }
}

/// The file that the next one follows: the newest that either this machine or the log has. What was
/// signed here and is not in the log yet is handed to it; what an interrupted start has logged
/// counts.
pub(crate) async fn settled(
    asker: &Asker,
    previous: &VerifiedNetwork,
    now_seconds: u64,
) -> Result<VerifiedNetwork, NetworkUpError> {
    if previous.file().transparency.is_none() {
        return Ok(previous.clone());
    }
    let newest = log_of(asker, previous)?.newest(previous).await?;
    if newest.file().sequence <= previous.file().sequence {
        if newest.file().sequence < previous.file().sequence {
            return logged(asker, previous.clone()).await;
        }
        return Ok(previous.clone());
    }
    let next = previous.logged_successor(newest.bytes(), now_seconds);
    next.map_err(NetworkUpError::Logged)
}

/// Hands a file to the log of its network.
pub(crate) async fn logged(
    asker: &Asker,
    file: VerifiedNetwork,
) -> Result<VerifiedNetwork, NetworkUpError> {
    match log_of(asker, &file)?.follow(&file).await {
        // Numbers are not skipped in the log: one that was signed and never logged leaves a gap, and
        // only links lead beyond it. The network runs all the same.
        Err(LogError::Refused(DirectoryError::NotAllowed)) => {
            tracing::warn!("the log does not take the network file: an earlier one is missing");
        }
        outcome => outcome?,
    }
    Ok(file)
}

fn log_of<'a>(
    asker: &'a Asker,
    file: &VerifiedNetwork,
) -> Result<DirectoryLog<'a>, NetworkUpError> {
    let directory = file.directory().map_err(NetworkUpError::File)?;
    let directory =
        Principal::try_from_slice(directory.as_slice()).map_err(|_| NetworkUpError::OtherSubnet)?;
    Ok(DirectoryLog::new(asker, directory))
}

/// Begins the log of a new network's directory with its first file. Where an earlier start was
/// interrupted after that, it is the file of that start.
pub(crate) async fn begin(
    asker: &Asker,
    mut file: NetworkFile,
    signer: &Signer,
) -> Result<VerifiedNetwork, NetworkUpError> {
    let log = log_of(asker, &publishable(&file, signer)?)?;
    file.transparency = Some(log.configuration().await?.into());
    let file = publishable(&file, signer)?;
    Ok(log.begin(&file).await?)
}

/// Brings one subnet up: what stands `before` the relays, then the relays. Their order is the order
/// of installation, for good.
async fn on_subnet(
    subnet: &Subnet,
    before: &[Part],
    relays: Option<u16>,
    previous: Option<&VerifiedNetwork>,
    signer: &Signer,
) -> Result<Vec<NetworkCanister>, NetworkUpError> {
    let installed = subnet.status().await?.canisters;
    let known = match previous {
        Some(previous) => named_in(previous, subnet, &installed)?,
        None => installed.iter().map(|found| (None, found)).collect(),
    };
    let relays_there = known.len().saturating_sub(before.len());
    let relays = relays.map_or_else(|| relays_there.max(1), usize::from);
    if relays < relays_there {
        return Err(NetworkUpError::Layout(
            "a relay cannot be taken out of a network",
        ));
    }
    let parts = before
        .iter()
        .chain(std::iter::repeat_n(&RELAY_PART, relays));
    let mut canisters = Vec::new();
    for (index, part) in parts.enumerate() {
        let id = match known.get(index) {
            Some((role, _)) if role.is_some_and(|role| role != part.role) => {
                return Err(NetworkUpError::OtherSubnet);
            }
            Some((_, found)) => bring_up_to_date(subnet, part, found).await?,
            None => install(subnet, part, signer).await?,
        };
        canisters.push(entry(part, id));
    }
    Ok(canisters)
}

/// A file beside another subnet or key would lead clients astray: better not to start.
fn belongs_to(
    previous: &VerifiedNetwork,
    subnet: &Subnet,
    signer: &Signer,
) -> Result<(), NetworkUpError> {
    if previous.file().root_key.as_slice() != subnet.root_key_der() {
        return Err(NetworkUpError::OtherSubnet);
    }
    if previous.file().release != signer.key_set() {
        return Err(NetworkUpError::OtherReleaseKey);
    }
    Ok(())
}

/// The canisters that the file names on a subnet, in its order.
fn named_in<'a>(
    previous: &VerifiedNetwork,
    subnet: &Subnet,
    installed: &'a [CanisterStatus],
) -> Result<Vec<(Option<CanisterRole>, &'a CanisterStatus)>, NetworkUpError> {
    let mut named = Vec::new();
    for entry in &previous.file().canisters {
        let id = Principal::try_from_slice(&entry.id).map_err(|_| NetworkUpError::OtherSubnet)?;
        if !subnet.range().contains(&id) {
            continue;
        }
        let id = id.to_text();
        let found = installed.iter().find(|canister| canister.id == id);
        named.push((Some(entry.role), found.ok_or(NetworkUpError::OtherSubnet)?));
    }
    Ok(named)
}

async fn install(
    subnet: &Subnet,
    part: &Part,
    signer: &Signer,
) -> Result<Principal, NetworkUpError> {
    let common = InitArgument {
        admins: None,
        difficulties: Some(Difficulties::all(DEVELOPMENT_BITS)),
    };
    let argument = part.argument(common, Some(signer.key.verifying_key().to_bytes()));
    let id = subnet.install(part.module, argument, &[]).await;
    id.map_err(|error| NetworkUpError::Install {
        canister: part.name,
        error,
    })
}

/// Upgrades a canister that runs another module than the embedded one.
async fn bring_up_to_date(
    subnet: &Subnet,
    part: &Part,
    found: &CanisterStatus,
) -> Result<Principal, NetworkUpError> {
    let id = Principal::from_text(&found.id).map_err(|_| NetworkUpError::OtherSubnet)?;
    if found.module_hash != hex::encode(module_hash(part.module)) {
        tracing::info!(canister = part.name, "upgrading");
        let upgraded = subnet.upgrade(id, part.module, Vec::new()).await;
        upgraded.map_err(|error| NetworkUpError::Install {
            canister: part.name,
            error,
        })?;
    }
    Ok(id)
}

/// Nobody controls the canisters over the network: only this process, at its start.
fn entry(part: &Part, id: Principal) -> NetworkCanister {
    NetworkCanister {
        role: part.role,
        id: id.as_slice().to_vec().into(),
        module_hashes: vec![module_hash(part.module).into()],
        controllers: Vec::new(),
    }
}

/// The first file of a network.
pub(crate) fn first_file(
    root_key: Vec<u8>,
    canisters: Vec<NetworkCanister>,
    contents: &Contents,
    signer: &Signer,
    now_seconds: u64,
) -> NetworkFile {
    NetworkFile {
        version: 1,
        network: signer.network.into(),
        name: NAME.to_owned(),
        sequence: 1,
        issued_at: now_seconds,
        expires_at: now_seconds + LIFETIME_SECONDS,
        root_key: root_key.into(),
        canisters,
        authority: KeySet {
            keys: Vec::new(),
            threshold: 0,
        },
        proof_types: PROOF_TYPES.to_vec(),
        urls: contents.urls.clone(),
        gateways: Vec::new(),
        release: signer.key_set(),
        development: true,
        transparency: None,
        auditors: contents.auditors.clone(),
    }
}

/// The next file; `None` while the last one still holds.
fn successor(
    previous: &VerifiedNetwork,
    canisters: Vec<NetworkCanister>,
    contents: &Contents,
    now_seconds: u64,
) -> Option<NetworkFile> {
    let old = previous.file();
    let fresh = old.expires_at > now_seconds.saturating_add(RENEW_SECONDS);
    let auditors = contents.auditors.clone().or_else(|| old.auditors.clone());
    let same = old.canisters == canisters && old.urls == contents.urls && old.auditors == auditors;
    if fresh && same {
        return None;
    }
    Some(NetworkFile {
        canisters,
        urls: contents.urls.clone(),
        auditors,
        ..next_of(old, now_seconds)
    })
}

/// The file that follows when nothing but the root key changes.
pub(crate) fn under_another_root(
    previous: &VerifiedNetwork,
    root_key: Vec<u8>,
    signer: &Signer,
    now_seconds: u64,
) -> Result<VerifiedNetwork, NetworkUpError> {
    if previous.file().release != signer.key_set() {
        return Err(NetworkUpError::OtherReleaseKey);
    }
    let next = NetworkFile {
        root_key: root_key.into(),
        ..next_of(previous.file(), now_seconds)
    };
    publishable(&next, signer)
}

/// The same, with the next number and a year to go.
pub(crate) fn next_of(old: &NetworkFile, now_seconds: u64) -> NetworkFile {
    NetworkFile {
        sequence: old.sequence.saturating_add(1),
        issued_at: now_seconds,
        expires_at: now_seconds.saturating_add(LIFETIME_SECONDS),
        ..old.clone()
    }
}

/// Signs a file and reads it back as clients will.
pub(crate) fn publishable(
    file: &NetworkFile,
    signer: &Signer,
) -> Result<VerifiedNetwork, NetworkUpError> {
    let bytes = file.sign(&[&signer.key]).map_err(NetworkUpError::File)?;
    VerifiedNetwork::pinned(&bytes).map_err(NetworkUpError::File)
}
