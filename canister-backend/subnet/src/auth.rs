//! Who sent a request: envelope authentication (IC interface specification, "Authentication").

use candid::Principal;
use ed25519_dalek::{Signature, VerifyingKey};
use ic_transport_types::{Envelope, EnvelopeContent, SignedDelegation};

use crate::keys::ED25519_DER_PREFIX;
use crate::profile::{Part, timed};

/// Most delegations of an envelope.
const MAX_DELEGATIONS: usize = 20;
/// Most canisters that a delegation names.
const MAX_TARGETS: usize = 1_000;
/// Longest nonce in bytes.
const MAX_NONCE_BYTES: usize = 32;

/// Why an envelope is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("an anonymous request carries no key or signature")]
    AnonymousWithKey,
    #[error("key or signature missing")]
    Missing,
    #[error("only Ed25519 keys in DER are supported by the embedded subnet")]
    UnsupportedKey,
    #[error("the sender is not the key's principal")]
    WrongSender,
    #[error("the signature does not hold")]
    WrongSignature,
    #[error("a delegation has expired, does not name the canister or is one too many")]
    Delegation,
    #[error("the nonce is longer than 32 bytes")]
    Nonce,
    #[error("sender_info is not supported by the embedded subnet")]
    SenderInfo,
}

/// Checks that the sender of an envelope is who signed it, and may do so for the canister that it
/// is addressed to.
pub(crate) fn authenticate(
    envelope: &Envelope<'_>,
    canister: &Principal,
    now_ns: u64,
) -> Result<(), AuthError> {
    let content = envelope.content.as_ref();
    if let EnvelopeContent::Call {
        nonce, sender_info, ..
    }
    | EnvelopeContent::Query {
        nonce, sender_info, ..
    } = content
    {
        if nonce
            .as_ref()
            .is_some_and(|nonce| nonce.len() > MAX_NONCE_BYTES)
        {
            return Err(AuthError::Nonce);
        }
        if sender_info.is_some() {
            return Err(AuthError::SenderInfo);
        }
    }
    let delegations = envelope.sender_delegation.as_deref().unwrap_or_default();
    if *content.sender() == Principal::anonymous() {
        let bare = envelope.sender_pubkey.is_none()
            && envelope.sender_sig.is_none()
            && delegations.is_empty();
        return if bare {
            Ok(())
        } else {
            Err(AuthError::AnonymousWithKey)
        };
    }
    let (Some(key), Some(signature)) = (&envelope.sender_pubkey, &envelope.sender_sig) else {
        return Err(AuthError::Missing);
    };
    if *content.sender() != Principal::self_authenticating(key) {
        return Err(AuthError::WrongSender);
    }
    timed(Part::Signatures, || {
        let key = follow(key, delegations, canister, now_ns)?;
        verify(&key, &content.to_request_id().signable(), signature)
    })
}

/// The key at the end of the delegations.
fn follow(
    key: &[u8],
    delegations: &[SignedDelegation],
    canister: &Principal,
    now_ns: u64,
) -> Result<Vec<u8>, AuthError> {
    if delegations.len() > MAX_DELEGATIONS {
        return Err(AuthError::Delegation);
    }
    let mut key = key.to_vec();
    for signed in delegations {
        let delegation = &signed.delegation;
        let names_canister = match &delegation.targets {
            Some(targets) => targets.len() <= MAX_TARGETS && targets.contains(canister),
            None => true,
        };
        if delegation.expiration < now_ns || !names_canister || delegation.permissions.is_some() {
            return Err(AuthError::Delegation);
        }
        verify(&key, &delegation.signable(), &signed.signature)?;
        key.clone_from(&delegation.pubkey);
    }
    Ok(key)
}

fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), AuthError> {
    let key = key
        .strip_prefix(&ED25519_DER_PREFIX[..])
        .ok_or(AuthError::UnsupportedKey)?;
    let key = key.try_into().map_err(|_| AuthError::UnsupportedKey)?;
    let key = VerifyingKey::from_bytes(key).map_err(|_| AuthError::UnsupportedKey)?;
    let signature = Signature::from_slice(signature).map_err(|_| AuthError::WrongSignature)?;
    key.verify_strict(message, &signature)
        .map_err(|_| AuthError::WrongSignature)
}
