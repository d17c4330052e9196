//! Handles: finding accounts by them, and the own one (`spec/handles.md`).
//!
//! | file | what |
//! |---|---|
//! | `find` | looking a handle up, and the accounts that its records name |
//! | `kept` | what the home keeps: what was seen of each handle, and the own one |
//! | `own` | claiming, giving up, watching the own handle |
//! | `watch` | handles that were shown, held against the log |

mod find;
mod kept;
mod own;
mod watch;

pub(crate) use kept::shown_handle;
pub(crate) use own::own_up_to_handle;
