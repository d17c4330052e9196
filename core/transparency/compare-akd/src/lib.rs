//! Holds a test only: see `tests/vrf.rs`.
