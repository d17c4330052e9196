//! The transparency log as this device sees it: every key that is used comes from a verified
//! search, and what was shown once is held against the log again and again (`spec/client.md` §9).
//!
//! | file | what |
//! |---|---|
//! | `kept` | what the home keeps: one view of the tree, and of each label what was verified |
//! | `ask` | questions to the directory, paid for |
//! | `evidence` | evidence files of this device, and what is still missing in them |
//! | `blame` | what a reply that does not verify proves |
//! | `look` | looking accounts up, and proofs that a commit carries |
//! | `publish` | the own records on their way into the log |
//! | `own` | the own label: versions that this device did not make |
//! | `networks` | the network files that the log shows |
//! | `watch` | what contacts were shown to be, held against the log |
//! | `gossip` | the log as other members see it |
//! | `auditors` | the log as its auditors see it |
//! | `monitor` | one look at everything that is watched |
//! | `problem` | what must not be, kept until it is answered, with evidence |

mod ask;
mod auditors;
mod blame;
mod evidence;
mod gossip;
mod kept;
mod look;
mod monitor;
mod networks;
mod own;
mod problem;
mod publish;
mod watch;

pub use auditors::AuditorsView;
pub(crate) use evidence::{evidence_of, own_head};
pub(crate) use gossip::{SAID_EVERY_NS, hear, newest_roots};
pub(crate) use kept::{KeptLabel, damaged, encoded, keep_view, kept_view};
pub(crate) use look::{LookedUp, Proved, keep_shown, look_up_once};
pub use monitor::{MonitorReport, MonitorVerdict, Watched};
pub use problem::{Answer, ProblemKind, ProblemView};
pub(crate) use problem::{Problem, has_problem, stops_sending};
pub(crate) use publish::{is_for_later, is_publishing, keep_record, note_made};
