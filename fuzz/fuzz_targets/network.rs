//! A network file, as a link leads to it: published bytes, and file bytes that were signed.
#![no_main]

use ed25519_dalek::SigningKey;
use libfuzzer_sys::fuzz_target;
use paigham_wire::hash::{label, sign};
use paigham_wire::network::VerifiedNetwork;

/// The published form of file bytes with one signature.
fn published(file: &[u8], key: &SigningKey) -> Vec<u8> {
    let signature = sign(key, label::NETWORK_FILE, &[file]);
    let mut bytes = vec![0x82];
    match u16::try_from(file.len()) {
        Ok(length @ 0..24) => bytes.push(0x40 | length as u8),
        Ok(length @ 24..256) => bytes.extend([0x58, length as u8]),
        Ok(length) => bytes.extend([&[0x59], &length.to_be_bytes()[..]].concat()),
        Err(_) => return Vec::new(),
    }
    bytes.extend(file);
    bytes.extend([0x81, 0x82, 0x58, 32]);
    bytes.extend(key.verifying_key().to_bytes());
    bytes.extend([0x58, 64]);
    bytes.extend(signature);
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    // Release key of the first file in `spec/vectors/network.json`.
    let key = SigningKey::from_bytes(&[1; 32]);
    let _ = VerifiedNetwork::pinned(bytes);
    let published = published(bytes, &key);
    if let Ok(verified) = VerifiedNetwork::pinned(&published) {
        let again = verified.file().sign(&[&key]).expect("it was decoded");
        assert_eq!(again, published);
    }
});
