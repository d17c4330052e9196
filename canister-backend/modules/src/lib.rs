//! paigham-modules
