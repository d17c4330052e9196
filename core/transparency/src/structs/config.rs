//! The configuration of a log and its heads (draft, §11.2, §11.4).

use crate::codec::{Codec, DecodeError, Reader, TooLong, put_opaque16, put_optional, put_u64};
use crate::hash::HashValue;

/// Stands before the `TreeHeadTBS` that a canister signs.
pub const CANISTER_HEAD_DOMAIN: &[u8; 8] = b"kt1-head";

/// Which primitives a log uses. Both share everything but the signature of heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherSuite {
    /// `KT_128_SHA256_Ed25519`, 0x0002.
    Ed25519,
    /// 0xF001, for private use: heads are signed by a canister of the Internet Computer.
    Canister,
}

impl CipherSuite {
    const fn value(self) -> u16 {
        match self {
            Self::Ed25519 => 0x0002,
            Self::Canister => 0xf001,
        }
    }
}

impl Codec for CipherSuite {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.extend_from_slice(&self.value().to_be_bytes());
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.u16()? {
            0x0002 => Ok(Self::Ed25519),
            0xf001 => Ok(Self::Canister),
            _ => Err(DecodeError::Value("cipher suite")),
        }
    }
}

/// Who watches the operator. This crate knows contact monitoring; the other two modes of the
/// draft are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentMode {
    /// The users themselves, 1.
    ContactMonitoring,
}

impl Codec for DeploymentMode {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.push(1);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.u8()? {
            1 => Ok(Self::ContactMonitoring),
            _ => Err(DecodeError::Value("deployment mode")),
        }
    }
}

/// What never changes while a log lives; signed with every head. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The primitives.
    pub ciphersuite: CipherSuite,
    /// Who watches.
    pub mode: DeploymentMode,
    /// Verifies heads: an Ed25519 key, or the DER form of a canister-signature key.
    pub signature_public_key: Vec<u8>,
    /// Verifies where versions lie, 32 bytes.
    pub vrf_public_key: Vec<u8>,
    /// How far the newest entry may lie in the future.
    pub max_ahead: u64,
    /// How old the newest entry may be.
    pub max_behind: u64,
    /// How often owners are expected to look: about one entry in this time is distinguished.
    pub reasonable_monitoring_window: u64,
    /// When entries expire. Reserved: readers take the field in, provers and verifiers refuse a
    /// log that sets it.
    pub maximum_lifetime: Option<u64>,
}

impl Codec for Configuration {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.ciphersuite.write(out)?;
        self.mode.write(out)?;
        put_opaque16(out, &self.signature_public_key, "signature public key")?;
        put_opaque16(out, &self.vrf_public_key, "VRF public key")?;
        put_u64(out, &self.max_ahead);
        put_u64(out, &self.max_behind);
        put_u64(out, &self.reasonable_monitoring_window);
        put_optional(out, self.maximum_lifetime.as_ref(), put_u64);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ciphersuite: CipherSuite::read(input)?,
            mode: DeploymentMode::read(input)?,
            signature_public_key: input.opaque16()?,
            vrf_public_key: input.opaque16()?,
            max_ahead: input.u64()?,
            max_behind: input.u64()?,
            reasonable_monitoring_window: input.u64()?,
            maximum_lifetime: input.optional(Reader::u64)?,
        })
    }
}

/// What is signed: a size and the root of the log at that size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeHeadTbs {
    /// The log's configuration.
    pub config: Configuration,
    /// Number of entries.
    pub tree_size: u64,
    /// Root of the log tree.
    pub root: HashValue,
}

impl TreeHeadTbs {
    /// The bytes that the signature covers: the structure, for a canister behind the length of
    /// [`CANISTER_HEAD_DOMAIN`] as one byte and the domain itself.
    ///
    /// # Errors
    /// [`TooLong`] for a configuration whose keys do not fit.
    pub fn signed_message(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = Vec::new();
        if self.config.ciphersuite == CipherSuite::Canister {
            out.push(8);
            out.extend_from_slice(CANISTER_HEAD_DOMAIN);
        }
        self.write(&mut out)?;
        Ok(out)
    }
}

impl Codec for TreeHeadTbs {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.config.write(out)?;
        put_u64(out, &self.tree_size);
        out.extend_from_slice(&self.root);
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            config: Configuration::read(input)?,
            tree_size: input.u64()?,
            root: input.array()?,
        })
    }
}

/// A signed size. The root is not sent: whoever verifies computes it from the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Number of entries.
    pub tree_size: u64,
    /// Over [`TreeHeadTbs::signed_message`].
    pub signature: Vec<u8>,
}

impl Codec for TreeHead {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        put_u64(out, &self.tree_size);
        put_opaque16(out, &self.signature, "signature")
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            tree_size: input.u64()?,
            signature: input.opaque16()?,
        })
    }
}

/// The head that an answer is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FullTreeHead {
    /// The one that the asker named.
    Same,
    /// A larger one.
    Updated(TreeHead),
}

impl Codec for FullTreeHead {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Same => out.push(1),
            Self::Updated(head) => {
                out.push(2);
                head.write(out)?;
            }
        }
        Ok(())
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.u8()? {
            1 => Ok(Self::Same),
            2 => TreeHead::read(input).map(Self::Updated),
            _ => Err(DecodeError::Value("head type")),
        }
    }
}
