//! paigham-relay
