//! paigham-store
