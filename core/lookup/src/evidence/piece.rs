//! One piece of evidence, checked from its bytes.

use paigham_transparency::codec::Codec;
use paigham_transparency::structs::{
    ContactMonitorRequest, DistinguishedRequest, OwnerInitRequest, OwnerMonitorRequest,
    UpdateRequest,
};
use paigham_transparency::verifier::{
    ContactMap, DistinguishedEntry, OwnerState, TreeView, Verified, Verifier, VerifyError,
};
use paigham_wire::codec::encode;
use paigham_wire::hash::{Hash, sha256};
use paigham_wire::identity::handle::Skeleton;
use paigham_wire::log::Monitor;
use paigham_wire::network::{LoggedNetworks, VerifiedNetwork};

use super::check::RECENT_HEADS;
use super::{Item, ShownAnswer, ShownHead, ShownLabel, ShownWatch};
use crate::account::{AccountHistory, verify_account};
use crate::error::LookupError;
use crate::handle::HandleVersions;
use crate::heads::HeadSignature;
use crate::reading::{LookedUp, Reading};
use crate::trust::LogTrust;

/// What a piece is.
#[derive(Debug)]
pub(super) enum Piece {
    /// Something under a head that was signed.
    Shown(Box<Shown>),
    /// A network file.
    File(Box<VerifiedNetwork>),
    /// Somebody's word.
    Word,
}

/// Something under a head that was signed.
#[derive(Debug)]
pub(super) struct Shown {
    pub view: TreeView,
    pub certified_at: u64,
    pub what: What,
}

/// What was shown under it.
#[derive(Debug)]
pub(super) enum What {
    /// The head alone, or that a label is absent.
    Nothing,
    Account(AccountHistory),
    Handle(HandleVersions),
    Networks(LoggedNetworks),
    Distinguished(Vec<DistinguishedEntry>),
}

impl Piece {
    pub(super) const fn shown(&self) -> Option<&Shown> {
        match self {
            Self::Shown(shown) => Some(shown),
            Self::File(_) | Self::Word => None,
        }
    }
}

impl Shown {
    fn of<T>(found: LookedUp<T>, what: impl FnOnce(T) -> What) -> Piece {
        Piece::Shown(Box::new(Self {
            view: found.view,
            certified_at: found.certificate_time_ns,
            what: what(found.outcome),
        }))
    }

    pub(super) const fn history(&self) -> Option<&AccountHistory> {
        match &self.what {
            What::Account(history) => Some(history),
            _ => None,
        }
    }

    pub(super) fn distinguished(&self) -> &[DistinguishedEntry] {
        match &self.what {
            What::Distinguished(entries) => entries,
            _ => &[],
        }
    }

    /// Version and SHA-256 of the newest value of a handle or network.
    pub(super) fn newest_value(&self) -> Option<(u32, Hash)> {
        match &self.what {
            What::Handle(versions) => {
                let (_, record) = versions.records().last()?;
                Some((record.content.record_version, sha256(&encode(record))))
            }
            What::Networks(files) => {
                let version = u32::try_from(files.files().count()).ok()?.checked_sub(1)?;
                Some((version, sha256(files.newest().bytes())))
            }
            What::Nothing | What::Account(_) | What::Distinguished(_) => None,
        }
    }
}

/// A piece that needs nothing which only the file says.
pub(super) fn stands_alone(item: &Item) -> bool {
    match item {
        Item::Head(_)
        | Item::Distinguished(_)
        | Item::Label(_)
        | Item::Network(_)
        | Item::Said(_) => true,
        Item::Account(shown) => shown.before.is_none() && shown.known.as_slice().is_empty(),
        Item::Watched(_) => false,
    }
}

pub(super) fn check_item(trust: &LogTrust, item: &Item) -> Result<Piece, LookupError> {
    match item {
        Item::Head(head) => {
            let (view, certified_at) = check_head(trust, head)?;
            let what = What::Nothing;
            Ok(Piece::Shown(Box::new(Shown {
                view,
                certified_at,
                what,
            })))
        }
        Item::Account(shown) => check_account(trust, shown),
        Item::Distinguished(answer) => check_distinguished(trust, answer.as_slice()),
        Item::Label(shown) => check_label(trust, shown),
        Item::Network(published) => {
            let file = VerifiedNetwork::pinned(published.as_slice());
            let file = file.map_err(|_| LookupError::Form("no network file"))?;
            Ok(Piece::File(Box::new(file)))
        }
        Item::Watched(shown) => check_watch(trust, shown),
        Item::Said(_) => Ok(Piece::Word),
    }
}

fn check_head(trust: &LogTrust, head: &ShownHead) -> Result<(TreeView, u64), LookupError> {
    let view = TreeView::decode(head.view.as_slice())
        .map_err(|_| LookupError::Form("a head that is none"))?;
    let signature = HeadSignature::verify(trust, head.signature.as_slice())?;
    if !signature.signs(&view)? {
        return Err(LookupError::OtherHead);
    }
    Ok((view, signature.time_ns()))
}

fn check_account(trust: &LogTrust, shown: &ShownAnswer) -> Result<Piece, LookupError> {
    let before = shown.before.as_ref().map(|head| check_head(trust, head));
    let before = before.transpose()?.map(|(view, _)| view);
    let known = match shown.known.as_slice() {
        [] => None,
        bytes => {
            Some(AccountHistory::from_bytes(bytes).map_err(|_| LookupError::Form("no history"))?)
        }
    };
    let found = verify_account(
        trust,
        before.as_ref(),
        known.as_ref(),
        shown.account,
        &shown.answer,
        shown.head.as_slice(),
    )?;
    Ok(Shown::of(found, |history| {
        history.map_or(What::Nothing, What::Account)
    }))
}

fn check_distinguished(trust: &LogTrust, answer: &[u8]) -> Result<Piece, LookupError> {
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let mut reading = Reading::open(trust, None, &[])?;
    let entries = reading.check(answer, |verifier, view, now| {
        verifier.distinguished(view, &request, RECENT_HEADS, answer, now)
    })?;
    let found = reading.finish(entries, None)?;
    Ok(Shown::of(found, What::Distinguished))
}

fn check_label(trust: &LogTrust, shown: &ShownLabel) -> Result<Piece, LookupError> {
    let mut reading = Reading::open(trust, None, shown.head.as_slice())?;
    let label = shown.label.as_slice();
    let what = match Skeleton::of_label(label) {
        Some(skeleton) => reading
            .handle(&skeleton, &shown.answer)?
            .map(|(versions, _)| What::Handle(versions)),
        None => reading.networks(label, &shown.answer)?.map(What::Networks),
    };
    let found = reading.finish(what.unwrap_or(What::Nothing), None)?;
    Ok(Shown::of(found, |what| what))
}

/// Checks an answer as whoever watched checked it.
fn check_watch(trust: &LogTrust, shown: &ShownWatch) -> Result<Piece, LookupError> {
    let (before, _) = check_head(trust, &shown.before)?;
    let mut reading = Reading::open(trust, Some(&before), shown.head.as_slice())?;
    reading.check(shown.answer.as_slice(), |verifier, view, now| {
        let view = view.ok_or(VerifyError::State)?;
        let view = watch_again(verifier, view, now, shown)?;
        Ok(Verified { view, outcome: () })
    })?;
    let found = reading.finish((), None)?;
    Ok(Shown::of(found, |()| What::Nothing))
}

fn watch_again(
    verifier: &Verifier<'_>,
    view: &TreeView,
    now: u64,
    shown: &ShownWatch,
) -> Result<TreeView, VerifyError> {
    let (state, answer) = (shown.state.as_slice(), shown.answer.as_slice());
    Ok(match &shown.request {
        Monitor::Contact(request) => {
            let request = ContactMonitorRequest::decode(request.as_slice())?;
            let map = ContactMap::decode(state)?;
            let verified = verifier.contact_monitor(view, &map, &request, answer, now)?;
            verified.view
        }
        Monitor::OwnerInit(request) => {
            let request = OwnerInitRequest::decode(request.as_slice())?;
            verifier.owner_init(Some(view), &request, answer, now)?.view
        }
        Monitor::Owner(request) => {
            let request = OwnerMonitorRequest::decode(request.as_slice())?;
            let owner = OwnerState::decode(state)?;
            let verified = verifier.owner_monitor(view, &owner, &request, answer, now)?;
            verified.view
        }
        Monitor::Update(request) => {
            let request = UpdateRequest::decode(request.as_slice())?;
            let owner = OwnerState::decode(state)?;
            verifier.update(view, &owner, &request, answer, now)?.view
        }
        Monitor::Distinguished(request) => {
            let request = DistinguishedRequest::decode(request.as_slice())?;
            let verified =
                verifier.distinguished(Some(view), &request, RECENT_HEADS, answer, now)?;
            verified.view
        }
    })
}
