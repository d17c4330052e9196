//! paigham-directory
