//! The structures of the draft, each with its one encoding.

mod audit;
mod config;
mod messages;
mod proofs;

pub use audit::{AuditorTreeHead, AuditorTreeHeadTbs, AuditorUpdate};
pub use config::{
    CANISTER_HEAD_DOMAIN, CipherSuite, Configuration, DeploymentMode, FullTreeHead, TreeHead,
    TreeHeadTbs,
};
pub use messages::{
    AbsentResponse, BinaryLadderStep, ContactMonitorRequest, ContactMonitorResponse,
    DistinguishedHead, DistinguishedRequest, DistinguishedResponse, MonitorMapEntry,
    OwnerInitRequest, OwnerInitResponse, OwnerMonitorRequest, OwnerMonitorResponse, SearchRequest,
    SearchResponse, UpdateInfo, UpdateRequest, UpdateResponse,
};
pub use proofs::{CombinedTreeProof, InclusionProof, PrefixLeaf, PrefixProof, PrefixSearchResult};

#[cfg(test)]
mod tests;
