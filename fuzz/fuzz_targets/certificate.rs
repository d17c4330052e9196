//! A certificate, as a node shows it. No input is signed; what is tried is all that comes before
//! the signature, which is what strangers reach.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_wire::certificate::VerifiedCertificate;
use paigham_wire::ids::CanisterId;

/// A DER prefix and a point that is no BLS key, so that nothing is accepted.
fn root_key() -> Vec<u8> {
    let prefix =
        b"\x30\x81\x82\x30\x1d\x06\x0d\x2b\x06\x01\x04\x01\x82\xdc\x7c\x05\x03\x01\x02\x01\
        \x06\x0c\x2b\x06\x01\x04\x01\x82\xdc\x7c\x05\x03\x02\x01\x03\x61\x00";
    [&prefix[..], &[0xff; 96]].concat()
}

fuzz_target!(|bytes: &[u8]| {
    let canister = CanisterId::new(&[0, 0, 0, 0, 0, 0, 0, 7, 1, 1]).expect("ten bytes");
    assert!(VerifiedCertificate::verify(bytes, &root_key(), &canister).is_err());
});
