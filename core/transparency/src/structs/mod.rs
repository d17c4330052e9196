//! The structures of the draft, each with its one encoding.

mod audit;
mod config;
mod messages;
mod proofs;
mod search;

pub use audit::{AuditorTreeHead, AuditorTreeHeadTbs, AuditorUpdate};
pub use config::{
    CANISTER_HEAD_DOMAIN, CipherSuite, Configuration, DeploymentMode, FullTreeHead, TreeHead,
    TreeHeadTbs,
};
pub use messages::{
    ContactMonitorRequest, ContactMonitorResponse, DistinguishedHead, DistinguishedRequest,
    DistinguishedResponse, MonitorMapEntry, OwnerInitRequest, OwnerInitResponse,
    OwnerMonitorRequest, OwnerMonitorResponse, UpdateInfo, UpdateRequest, UpdateResponse,
};
pub use proofs::{CombinedTreeProof, InclusionProof, PrefixLeaf, PrefixProof, PrefixSearchResult};
pub use search::{AbsentResponse, BinaryLadderStep, PlaceResponse, SearchRequest, SearchResponse};

#[cfg(test)]
mod tests;
