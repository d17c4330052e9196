//! paigham-tests
