//! paigham-group
