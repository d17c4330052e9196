//! A witness, as a node shows it. Its first 32 bytes are a key that it is asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paigham_wire::map::Witness;

fuzz_target!(|bytes: &[u8]| {
    let Some((key, bytes)) = bytes.split_first_chunk::<32>() else {
        return;
    };
    let Ok(witness) = Witness::decode(bytes) else {
        return;
    };
    assert_eq!(witness.encode(), bytes);
    let cut = witness.cut(&[*key]);
    assert_eq!(cut.root(), witness.root());
    assert_eq!(cut.get(key), witness.get(key));
    assert_eq!(Witness::decode(&cut.encode()), Ok(cut));
});
