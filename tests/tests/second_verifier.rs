//! The second verifier (`spec/verifier`), written from the specification alone, agrees.

use paigham_tests::second_verifier::SecondVerifier;

/// A reviewer who read only the prose computes every vector, and refuses what must be refused.
#[test]
fn it_agrees_on_every_vector() {
    if let Some(verifier) = SecondVerifier::find() {
        verifier.passes(&["unittest"]);
    }
}
