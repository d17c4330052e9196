//! The network files in the log (`spec/network.md` §2.1).

use paigham_transparency::hash::Label;
use paigham_wire::log::LabelAnswer;
use paigham_wire::network::{LoggedNetworks, VerifiedNetwork};

use crate::error::LookupError;
use crate::label::TimeRule;
use crate::reading::Reading;

/// Of network files nothing counts by time: each follows the one before by its signatures.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetworkTimes;

impl TimeRule for NetworkTimes {
    fn counts_by_time(&self, _value: &[u8]) -> bool {
        false
    }
}

impl Reading<'_> {
    /// Reads the answer about the files under a network's label, asked for from version 0 on. `None`:
    /// the log has none.
    ///
    /// # Errors
    /// [`LookupError::NoRecord`] if the newest version is no well signed file of this network, which
    /// the log itself shows; [`LookupError::NetworkRule`] for what does not follow.
    ///
    /// # Security
    /// Files before the newest name each other by number and signature only. So one that does not
    /// follow may be the work of whoever carried the answer; two well signed files of one number
    /// are not, wherever they come from.
    pub fn networks(
        &mut self,
        label: &[u8],
        answer: &LabelAnswer,
    ) -> Result<Option<LoggedNetworks>, LookupError> {
        let name = Label::new(label.to_vec()).map_err(|_| LookupError::Form("label"))?;
        let Some(versions) = self.label(&name, None, answer, &NetworkTimes)? else {
            return Ok(None);
        };
        let version = versions.greatest;
        let newest = VerifiedNetwork::pinned(&versions.newest);
        if newest.is_ok_and(|newest| newest.log_label() == label) {
            // An entry's time is not shown, so expiry is for whoever uses a file.
            let files = versions.new.iter().map(|new| (0, new.value.as_slice()));
            let files = LoggedNetworks::from_files(label, files);
            files.map(Some).map_err(|_| LookupError::NetworkRule)
        } else {
            Err(LookupError::NoRecord { version })
        }
    }
}
