//! Re-add: a device that cannot follow has its leaf replaced, in one commit that carries its
//! request (`spec/groups.md` §10, GRP-010).

use std::ops::RangeInclusive;

use paigham_wire::codec::{decode, encode};
use paigham_wire::envelope::{
    EnvelopePlaintext, Extension, VERSION, WelcomeWrapper, extension, wrapper_extension,
};
use paigham_wire::hash::{Hash, blake3};
use paigham_wire::ids::{DeviceId, QueueId};
use paigham_wire::reset::{ReAddLog, ReAddMessage, ReAddRequest, ReAdded, ReAdds};

use crate::device::DeviceKeys;
use crate::error::GroupError;
use crate::group::{Group, MAX_LEAVES, Member};
use crate::verdict::{Changes, NS_PER_SECOND, Violation};

/// Most re-adds of one device in [`RE_ADD_WINDOW_NS`]: each costs everybody a commit, and who
/// copied a device could fight its owner for the leaf for ever.
pub const RE_ADDS_MAX: usize = 3;
/// A day of chain time: how long a re-add is counted, and a request is worth something.
pub const RE_ADD_WINDOW_NS: u64 = 24 * 3_600 * NS_PER_SECOND;
/// How far ahead of a commit the clock of whoever asked may have been, in seconds.
const ASKED_MAX_AHEAD_SECONDS: u64 = 600;

/// A re-add that counts against the limit, and whose request is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CountedReAdd {
    /// Which device.
    pub device: [u8; 16],
    /// When its commit was accepted, nanoseconds since 1970; 0 until a joiner by this very commit
    /// has found it ([`Group::joined_at`]).
    pub accepted_at: u64,
    /// Id of the request.
    pub request: [u8; 32],
}

/// A leaf that a commit replaces at its device's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReAddedLeaf {
    /// The leaf that is removed.
    pub leaf: u32,
    /// Whose it is and stays.
    pub device: DeviceId,
    /// Id of the request.
    pub request: Hash,
}

impl DeviceKeys {
    /// Signs the request to have this device's leaf replaced by one of a new key package.
    #[must_use]
    pub fn ask_for_re_add(
        &self,
        queue: QueueId,
        epoch: u32,
        asked_at: u64,
        key_package: &[u8],
    ) -> ReAddMessage {
        let request = ReAddRequest {
            version: VERSION,
            queue,
            account: self.credential().account,
            device: self.credential().device,
            epoch,
            asked_at,
            key_package_hash: blake3(key_package),
            signature: [0; 64],
        };
        ReAddMessage {
            request: request.sign(self.leaf_key()),
            key_package: key_package.into(),
        }
    }
}

impl Group {
    /// The leaf that a request is about, if a commit accepted at `at` (ns) may fulfil it.
    ///
    /// # Errors
    /// [`Violation::ReAdd`], [`Violation::Rate`]: what every member would say to such a commit.
    pub fn check_re_add(&self, request: &ReAddRequest, at: u64) -> Result<Member, Violation> {
        let member = self
            .members()
            .find(|m| m.account() == request.account && m.device() == request.device)
            .ok_or(Violation::ReAdd)?;
        let seconds = at / NS_PER_SECOND;
        let is_timely = request.asked_at <= seconds.saturating_add(ASKED_MAX_AHEAD_SECONDS)
            && seconds
                <= request
                    .asked_at
                    .saturating_add(RE_ADD_WINDOW_NS / NS_PER_SECOND);
        let is_here = request.queue == self.queue() && request.epoch <= self.epoch();
        let id = request.id();
        let is_spent = self.state.re_adds.iter().any(|one| one.request == id);
        if !is_timely || !is_here || is_spent || !request.verify(&member.leaf_key) {
            return Err(Violation::ReAdd);
        }
        let since = at.saturating_sub(RE_ADD_WINDOW_NS);
        let recent = self
            .state
            .re_adds
            .iter()
            .filter(|one| one.device == member.device && one.accepted_at >= since)
            .count();
        if recent >= RE_ADDS_MAX {
            return Err(Violation::Rate);
        }
        Ok(member)
    }

    /// Judges the re-adds of a commit: each request is fulfilled by the removal of the leaf and the
    /// addition of the very key package that it names.
    pub(crate) fn judge_re_adds(
        &self,
        changes: &Changes,
        requests: &[ReAddRequest],
        accepted: &RangeInclusive<u64>,
    ) -> Result<Vec<ReAddedLeaf>, Violation> {
        let place = |request: &ReAddRequest| (request.account, request.device);
        if !requests
            .windows(2)
            .all(|pair| place(&pair[0]) < place(&pair[1]))
        {
            return Err(Violation::ReAdd);
        }
        requests
            .iter()
            .map(|request| {
                let member = self.check_re_add(request, *accepted.start())?;
                self.check_re_add(request, *accepted.end())?;
                let is_added =
                    changes
                        .added
                        .iter()
                        .zip(&changes.key_packages)
                        .any(|(claim, hash)| {
                            (claim.account, claim.device) == place(request)
                                && claim.leaf_key == member.leaf_key
                                && *hash == request.key_package_hash
                        });
                if !is_added || !changes.removed.contains(&member.leaf) {
                    return Err(Violation::ReAdd);
                }
                Ok(ReAddedLeaf {
                    leaf: member.leaf,
                    device: member.device(),
                    request: request.id(),
                })
            })
            .collect()
    }

    /// Keeps what was re-added for as long as its request could count.
    pub(crate) fn count_re_adds(
        &mut self,
        re_added: impl IntoIterator<Item = ([u8; 16], [u8; 32])>,
        at: u64,
    ) {
        let kept = RE_ADD_WINDOW_NS + ASKED_MAX_AHEAD_SECONDS * NS_PER_SECOND;
        let since = at.saturating_sub(kept);
        self.state.re_adds.retain(|one| one.accepted_at >= since);
        let counted = re_added.into_iter().map(|(device, request)| CountedReAdd {
            device,
            accepted_at: at,
            request,
        });
        self.state.re_adds.extend(counted);
    }

    /// What a joiner is told, so that it counts like everybody. When the very commit is accepted is
    /// not known yet: its re-adds have the time 0, until [`Group::joined_at`].
    pub(crate) fn re_add_log(&self, now: &[ReAddRequest]) -> Option<Extension> {
        let before = self.state.re_adds.iter();
        let before = before.map(|one| ReAdded {
            device: DeviceId(one.device),
            accepted_at: one.accepted_at,
            request: one.request,
        });
        let now = now.iter().map(|request| ReAdded {
            device: request.device,
            accepted_at: 0,
            request: request.id(),
        });
        let entries: Vec<_> = before.chain(now).collect();
        (!entries.is_empty()).then(|| Extension {
            extension_type: wrapper_extension::RE_ADD_LOG,
            data: encode(&ReAddLog { entries }).into(),
        })
    }

    /// A joiner has found the commit of its Welcome in the chain, accepted at that time (ns).
    pub fn joined_at(&mut self, accepted_at: u64) {
        for one in &mut self.state.re_adds {
            if one.accepted_at == 0 {
                one.accepted_at = accepted_at;
            }
        }
    }
}

/// The requests that an envelope carries; `None` if they do not decode.
pub(crate) fn requests_of(plaintext: &EnvelopePlaintext) -> Option<Vec<ReAddRequest>> {
    match plaintext.extension(extension::RE_ADDS) {
        None => Some(Vec::new()),
        Some(data) => decode::<ReAdds>(data).ok().map(|adds| adds.requests),
    }
}

/// The re-adds of the last day, as a Welcome wrapper tells them.
pub(crate) fn log_of(wrapper: &WelcomeWrapper) -> Result<Vec<CountedReAdd>, GroupError> {
    let Some(data) = wrapper.extension(wrapper_extension::RE_ADD_LOG) else {
        return Ok(Vec::new());
    };
    let log: ReAddLog = decode(data)
        .ok()
        .filter(|log: &ReAddLog| log.entries.len() <= (RE_ADDS_MAX + 1) * MAX_LEAVES)
        .ok_or(GroupError::Welcome("its log of re-adds is malformed"))?;
    let entries = log.entries.into_iter();
    Ok(entries
        .map(|one| CountedReAdd {
            device: one.device.0,
            accepted_at: one.accepted_at,
            request: one.request,
        })
        .collect())
}
