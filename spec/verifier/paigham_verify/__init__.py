"""A second verifier of Paigham's transparency log.

Written from `spec/` and draft-ietf-keytrans-protocol-05 alone, so that a mistake in the Rust code
and a gap in the prose show as a difference between the two.
"""
