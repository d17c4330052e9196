//! Whose log it is.

use paigham_transparency::codec::Codec;
use paigham_transparency::structs::{CipherSuite, Configuration};
use paigham_wire::canister_signature::head_key;
use paigham_wire::ids::CanisterId;
use paigham_wire::network::VerifiedNetwork;

use crate::error::LookupError;

/// What a client knows of the log before it asks: all of it stands in the network file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTrust {
    root_key: Vec<u8>,
    directory: CanisterId,
    config: Configuration,
}

impl LogTrust {
    /// The log of a directory; `root_key` is the DER key of the network's root subnet.
    ///
    /// # Errors
    /// [`LookupError::Trust`] if the configuration is not that of heads which this directory signs.
    pub fn new(
        root_key: Vec<u8>,
        directory: CanisterId,
        config: Configuration,
    ) -> Result<Self, LookupError> {
        if config.ciphersuite != CipherSuite::Canister {
            return Err(LookupError::Trust(
                "the suite is not that of canister signatures",
            ));
        }
        if config.signature_public_key != head_key(&directory) {
            return Err(LookupError::Trust(
                "the key of the heads is not the directory's",
            ));
        }
        Ok(Self {
            root_key,
            directory,
            config,
        })
    }

    /// The log that a network file names.
    ///
    /// # Errors
    /// [`LookupError::Trust`] if it names none, or one that cannot be checked here.
    pub fn of_network(network: &VerifiedNetwork) -> Result<Self, LookupError> {
        let file = network.file();
        let directory = network
            .directory()
            .map_err(|_| LookupError::Trust("the network has no directory"))?;
        let config = file
            .transparency
            .as_ref()
            .ok_or(LookupError::Trust("the network has no log"))?;
        let config = Configuration::decode(config)
            .map_err(|_| LookupError::Trust("the log's configuration is none"))?;
        Self::new(file.root_key.to_vec(), directory, config)
    }

    /// DER key of the network's root subnet.
    #[must_use]
    pub fn root_key(&self) -> &[u8] {
        &self.root_key
    }

    /// The directory.
    #[must_use]
    pub const fn directory(&self) -> &CanisterId {
        &self.directory
    }

    /// The log's configuration.
    #[must_use]
    pub const fn config(&self) -> &Configuration {
        &self.config
    }
}
