//! What is running, and sets of it: a system call names the modes that it may be made in.

/// What is running; decides which calls are allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Start,
    Init,
    PreUpgrade,
    Update,
    Query,
    ReplicatedQuery,
    Inspect,
    ReplyCallback,
    RejectCallback,
    Cleanup,
    SystemTask,
}

impl Mode {
    pub const fn bit(self) -> u16 {
        1 << self as u16
    }

    pub const fn is_replicated(self) -> bool {
        !matches!(self, Self::Query | Self::Inspect)
    }

    /// Whether what such a message changes is kept when it does not trap.
    pub const fn keeps_changes(self) -> bool {
        self.bit() & (I | G | U | RY | RT | C | T) != 0
    }
}

/// Init and post-upgrade.
pub(super) const I: u16 = Mode::Init.bit();
/// Pre-upgrade.
pub(super) const G: u16 = Mode::PreUpgrade.bit();
/// Update.
pub(super) const U: u16 = Mode::Update.bit();
/// Query.
pub(super) const Q: u16 = Mode::Query.bit();
/// Query run as an update.
pub(super) const RQ: u16 = Mode::ReplicatedQuery.bit();
/// Inspect.
pub(super) const F: u16 = Mode::Inspect.bit();
/// Reply callback.
pub(super) const RY: u16 = Mode::ReplyCallback.bit();
/// Reject callback.
pub(super) const RT: u16 = Mode::RejectCallback.bit();
/// Cleanup callback.
pub(super) const C: u16 = Mode::Cleanup.bit();
/// System task: the global timer.
pub(super) const T: u16 = Mode::SystemTask.bit();
/// All.
pub(super) const ALL: u16 = u16::MAX;
/// All but the start function.
pub(super) const RUNNING: u16 = ALL ^ Mode::Start.bit();
/// Where there is an argument.
pub(super) const ARGUMENT: u16 = I | U | Q | RQ | RY | F;
/// Where a message may be answered.
pub(super) const ANSWERS: u16 = U | Q | RQ | RY | RT;
/// Where calls are made.
pub(super) const CALLS: u16 = U | RY | RT | T;
