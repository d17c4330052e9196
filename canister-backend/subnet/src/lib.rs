//! paigham-subnet
