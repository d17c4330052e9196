//! The same canisters on any endpoint of the Internet Computer, and the network file that names
//! them.
//!
//! ```text
//! data/
//!   canisters      ids in the order of creation, one a line: what an interrupted deployment has
//!   release.key    seed of the one release key
//!   network.cbor   the network file, written last
//! ```
//! A deployment that is interrupted goes on where it was. At worst, a canister that was created and
//! not written down stays empty.

mod administer;
mod management;

use std::path::Path;

use ic_agent::AgentError;
use ic_agent::identity::{BasicIdentity, Identity, Secp256k1Identity};
use paigham_modules::module_hash;
use paigham_subnet::{Clock, SystemClock};
use paigham_wire::admin::InitArgument;
use paigham_wire::network::{KeySet, NetworkCanister, NetworkFile, VerifiedNetwork};

use crate::assemble::{
    DIRECTORY_PART, Part, RELAY_PART, Signer, begin, first_file, logged, next_of, part_of,
    publishable, settled,
};
use crate::error::NetworkUpError;
use crate::folder::Folder;
use crate::layout::{Contents, RELAYS_MAX};
use crate::log::Asker;
use management::{Management, Mode};

// What callers name, so that they need no crates of their own for it.
pub use administer::{approve, propose};
pub use candid::Principal;
pub use ic_agent::Agent;
pub use management::Place;
pub use paigham_wire::admin::{AdminRefusal, AdminSet, ApprovalReply};

/// Why a deployment stopped. It can be begun again.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The endpoint refused, or cannot be reached.
    #[error("{doing}: {error}")]
    Agent {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        #[source]
        error: Box<AgentError>,
    },
    /// The endpoint answered something else.
    #[error("{0}: the endpoint answered something else than it should")]
    Reply(&'static str),
    /// The identity's file is none.
    #[error("the identity is no PEM file of an Ed25519 or secp256k1 key: {0}")]
    Identity(String),
    /// Clients would stop at the new code: it has not been announced.
    #[error("the network file does not announce the new {0} module yet")]
    NotAnnounced(&'static str),
    /// The canister does not do what an administrator asked for.
    #[error(transparent)]
    Administration(#[from] AdminRefusal),
    /// The data folder.
    #[error(transparent)]
    Network(#[from] NetworkUpError),
}

impl DeployError {
    fn agent(doing: &'static str) -> impl FnOnce(AgentError) -> Self {
        move |error| Self::Agent {
            doing,
            error: Box::new(error),
        }
    }
}

/// Which root key an endpoint's certificates must lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// That of the Internet Computer.
    InternetComputer,
    /// This one, DER.
    RootKey(Vec<u8>),
    /// Whichever the endpoint names: for development only. The network file says so.
    Endpoint,
}

/// What is deployed, and where.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Address of the endpoint, for clients as well.
    pub url: String,
    /// Name of the network, for people.
    pub name: String,
    /// Where canisters are created.
    pub place: Place,
    /// Number of relays.
    pub relays: u16,
    /// Who may change the canisters from then on; nobody, if empty.
    pub controllers: Vec<Principal>,
    /// Who administers the canisters; nobody, if `None`.
    pub admins: Option<AdminSet>,
    /// Whether the network is one for development.
    pub development: bool,
    /// Auditors of the log, and how many of them clients ask for.
    pub auditors: Option<KeySet>,
}

/// An agent for an endpoint that acts as the identity in a PEM file.
///
/// # Errors
/// [`DeployError`].
///
/// # Security
/// With [`Trust::Endpoint`] whoever answers at the address is believed.
pub async fn connect(url: &str, identity: &Path, trust: Trust) -> Result<Agent, DeployError> {
    let doing = "connecting";
    let builder = Agent::builder().with_url(url);
    let agent = builder
        .with_boxed_identity(read_identity(identity)?)
        .build()
        .map_err(DeployError::agent(doing))?;
    match trust {
        Trust::InternetComputer => {}
        Trust::RootKey(key) => agent.set_root_key(key),
        Trust::Endpoint => agent
            .fetch_root_key()
            .await
            .map_err(DeployError::agent(doing))?,
    }
    Ok(agent)
}

fn read_identity(path: &Path) -> Result<Box<dyn Identity>, DeployError> {
    let ed25519 = match BasicIdentity::from_pem_file(path) {
        Ok(identity) => return Ok(Box::new(identity)),
        Err(error) => error,
    };
    match Secp256k1Identity::from_pem_file(path) {
        Ok(identity) => Ok(Box::new(identity)),
        Err(_) => Err(DeployError::Identity(ed25519.to_string())),
    }
}

/// Creates and installs the canisters, hands them to their controllers, and signs the network file.
///
/// # Errors
/// [`DeployError`]; begun again with the same folder, it goes on.
pub async fn deploy(
    data: &Path,
    agent: &Agent,
    plan: &Deployment,
) -> Result<VerifiedNetwork, DeployError> {
    let folder = Folder::open(data)?;
    if folder.network_file()?.is_some() {
        let why = "the data folder holds a network already; upgrade that";
        return Err(NetworkUpError::Layout(why).into());
    }
    if plan.relays == 0 || plan.relays > RELAYS_MAX {
        return Err(NetworkUpError::Layout("a subnet has 1 to 16 relays").into());
    }
    if !plan.admins.as_ref().is_none_or(AdminSet::is_allowed) {
        return Err(AdminRefusal::OutOfBounds.into());
    }
    let management = Management(agent);
    let mut created = folder.created()?;
    let relays = std::iter::repeat_n(&RELAY_PART, plan.relays.into());
    let mut canisters = Vec::new();
    for (index, part) in std::iter::once(&DIRECTORY_PART).chain(relays).enumerate() {
        let id = match created.get(index) {
            Some(id) => *id,
            None => {
                let id = management.create(plan.place).await?;
                created.push(id);
                folder.keep_created(&created)?;
                id
            }
        };
        if code_of(agent, id).await?.as_deref() != Some(&module_hash(part.module)[..]) {
            tracing::info!(canister = part.name, %id, "installing");
            let common = InitArgument {
                admins: plan.admins.clone(),
                difficulties: None,
            };
            let argument = part.argument(common, None);
            management
                .install(id, Mode::Install, part.module, &argument)
                .await?;
        }
        canisters.push(entry(part, id, &plan.controllers));
    }
    let signer = Signer::of_release_key(folder.release_key_or_new()?);
    let contents = Contents {
        urls: vec![plan.url.clone()],
        relays: Some(plan.relays),
        auditors: plan.auditors.clone(),
    };
    let file = NetworkFile {
        name: plan.name.clone(),
        development: plan.development,
        ..first_file(
            agent.read_root_key(),
            canisters,
            &contents,
            &signer,
            now_seconds(),
        )
    };
    let file = begin(&Asker::over(agent), file, &signer).await?;
    // Last, and each once: from here on the deployer may not be among them.
    for id in &created {
        if sorted(controllers_of(agent, *id).await?) != sorted(plan.controllers.clone()) {
            management.set_controllers(*id, &plan.controllers).await?;
        }
    }
    folder.publish(file.bytes())?;
    Ok(file)
}

/// Signs a file that allows the modules of this program beside those that run: what clients must
/// have before the code changes.
///
/// # Errors
/// [`DeployError`].
pub async fn announce(data: &Path, agent: &Agent) -> Result<VerifiedNetwork, DeployError> {
    let folder = Folder::open(data)?;
    let (signer, previous) = deployed(&folder)?;
    let previous = settled(&Asker::over(agent), &previous, now_seconds()).await?;
    let mut canisters = previous.file().canisters.clone();
    for entry in &mut canisters {
        let hash = module_hash(part_of(entry.role)?.module).into();
        if !entry.module_hashes.contains(&hash) {
            entry.module_hashes.push(hash);
        }
    }
    publish_next(&folder, agent, &signer, &previous, canisters).await
}

/// Upgrades the canisters to the modules of this program, which must be announced, and signs the
/// file that allows no others.
///
/// # Errors
/// [`DeployError`]; begun again, it goes on.
pub async fn upgrade(data: &Path, agent: &Agent) -> Result<VerifiedNetwork, DeployError> {
    let folder = Folder::open(data)?;
    let (signer, previous) = deployed(&folder)?;
    if previous.file().root_key.as_slice() != agent.read_root_key() {
        return Err(NetworkUpError::OtherSubnet.into());
    }
    let mut canisters = previous.file().canisters.clone();
    for entry in &canisters {
        let part = part_of(entry.role)?;
        let hash = module_hash(part.module).into();
        if !entry.module_hashes.contains(&hash) {
            return Err(DeployError::NotAnnounced(part.name));
        }
    }
    for entry in &mut canisters {
        let part = part_of(entry.role)?;
        let id = Principal::try_from_slice(&entry.id).map_err(|_| NetworkUpError::OtherSubnet)?;
        let hash = module_hash(part.module);
        if code_of(agent, id).await?.as_deref() != Some(&hash[..]) {
            tracing::info!(canister = part.name, %id, "upgrading");
            let management = Management(agent);
            management
                .install(id, Mode::Upgrade, part.module, &[])
                .await?;
        }
        entry.module_hashes = vec![hash.into()];
    }
    let previous = settled(&Asker::over(agent), &previous, now_seconds()).await?;
    publish_next(&folder, agent, &signer, &previous, canisters).await
}

/// Logs and publishes the next file, if it says anything new.
async fn publish_next(
    folder: &Folder,
    agent: &Agent,
    signer: &Signer,
    previous: &VerifiedNetwork,
    canisters: Vec<NetworkCanister>,
) -> Result<VerifiedNetwork, DeployError> {
    let mut next = next_file(signer, previous, canisters)?;
    if next != *previous {
        next = logged(&Asker::over(agent), next).await?;
    }
    folder.publish(next.bytes())?;
    Ok(next)
}

fn deployed(folder: &Folder) -> Result<(Signer, VerifiedNetwork), NetworkUpError> {
    let previous = folder.network_file()?.ok_or(NetworkUpError::NoNetwork)?;
    if folder.topology().is_some() {
        return Err(NetworkUpError::Layout(
            "this network's subnets lie in its data folder: `network up` upgrades it",
        ));
    }
    let signer = Signer::of_release_key(folder.release_key()?);
    Ok((signer, previous))
}

/// The next file, if it says anything new.
fn next_file(
    signer: &Signer,
    previous: &VerifiedNetwork,
    canisters: Vec<NetworkCanister>,
) -> Result<VerifiedNetwork, DeployError> {
    if previous.file().canisters == canisters {
        return Ok(previous.clone());
    }
    let next = NetworkFile {
        canisters,
        ..next_of(previous.file(), now_seconds())
    };
    Ok(publishable(&next, signer)?)
}

fn entry(part: &Part, id: Principal, controllers: &[Principal]) -> NetworkCanister {
    let controllers = controllers.iter();
    NetworkCanister {
        role: part.role,
        id: id.as_slice().to_vec().into(),
        module_hashes: vec![module_hash(part.module).into()],
        controllers: controllers
            .map(|id| id.as_slice().to_vec().into())
            .collect(),
    }
}

/// Certified hash of what a canister runs; `None` if it is empty.
async fn code_of(agent: &Agent, id: Principal) -> Result<Option<Vec<u8>>, DeployError> {
    match agent.read_state_canister_module_hash(id).await {
        Ok(hash) => Ok(Some(hash)),
        Err(AgentError::LookupPathAbsent(_)) => Ok(None),
        Err(error) => Err(DeployError::agent("reading a module's hash")(error)),
    }
}

async fn controllers_of(agent: &Agent, id: Principal) -> Result<Vec<Principal>, DeployError> {
    let read = agent.read_state_canister_controllers(id).await;
    read.map_err(DeployError::agent("reading a canister's controllers"))
}

fn sorted(mut controllers: Vec<Principal>) -> Vec<Principal> {
    controllers.sort_unstable();
    controllers
}

fn now_seconds() -> u64 {
    SystemClock.now_ns() / 1_000_000_000
}
