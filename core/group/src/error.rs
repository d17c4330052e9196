//! What goes wrong in a group, by who must act.

/// Why an operation on a group failed; the caller drops its write-set, and nothing happened.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The group would have more than 256 leaves.
    #[error("a group has at most 256 devices for now")]
    TooLarge,
    /// It would break a rule that every member judges by; nobody would take it.
    #[error("nobody would accept this change: {0}")]
    Refused(crate::verdict::Violation),
    /// The caller's role does not allow it.
    #[error("only an admin of the group may do this")]
    NotAllowed,
    /// There is nothing to do: the change is in the group already.
    #[error("nothing to change")]
    Nothing,
    /// An own commit waits for the relay's answer.
    #[error("a change of the group is still under way")]
    CommitPending,
    /// This device is no longer a member.
    #[error("this device is no longer in the group")]
    NotAMember,
    /// A key package that is not fit to be added.
    #[error("a key package is not fit: {0}")]
    KeyPackage(&'static str),
    /// A Welcome that does not lead into a group.
    #[error("the Welcome does not open: {0}")]
    Welcome(&'static str),
    /// Sealed bytes that open under no key.
    #[error("sealed bytes do not open")]
    Sealed,
    /// The caller's storage.
    #[error("the group's storage: {0}")]
    Storage(String),
    /// OpenMLS refused what should work; a bug, or stored state that is damaged.
    #[error("{0}: {1}")]
    Mls(&'static str, String),
}

/// Maps any displayable error of OpenMLS.
pub(crate) fn mls<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> GroupError {
    move |error| GroupError::Mls(what, error.to_string())
}
