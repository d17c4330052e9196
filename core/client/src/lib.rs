//! paigham-client
