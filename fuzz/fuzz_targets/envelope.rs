//! The plaintext of an envelope with its extensions and proofs, as any member of a group writes it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_fuzz::{has_one_form, have_one_form};
use paigham_wire::envelope::{
    AuthenticatedData, Credential, EnvelopePlaintext, Gossip, GroupPolicy,
    LogProof, SelfRemoves, Welcomes, extension,
};

fuzz_target!(|bytes: &[u8]| {
    have_one_form!(bytes => AuthenticatedData, Welcomes, Gossip, SelfRemoves);
    if let Ok(credential) = Credential::from_identity(bytes) {
        assert_eq!(credential.version, 1);
    }
    if let Some(policy) = has_one_form::<GroupPolicy>(bytes)
        && policy.is_well_formed()
    {
        assert!(policy.admins.iter().all(|admin| policy.is_admin(admin)));
    }
    if let Some(plaintext) = has_one_form::<EnvelopePlaintext>(bytes) {
        plaintext.proofs_hash();
        plaintext.is_well_formed();
        for proof in &plaintext.proofs {
            have_one_form!(proof.data.as_slice() => LogProof);
        }
        if let Some(data) = plaintext.extension(extension::WELCOMES) {
            have_one_form!(data => Welcomes);
        }
    }
});
