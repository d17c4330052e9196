//! What a reply that does not verify proves, and to whom: a lying node proves nothing, a head that
//! the subnet signed proves what it shows (`spec/evidence.md`).

use paigham_lookup::evidence::{Evidence, Item, Proved, ShownAnswer};
use paigham_lookup::finding::Finding;
use paigham_wire::ids::AccountId;

use super::kept::shown_head;
use super::problem::{Problem, ProblemKind};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};

/// Accounts of one failed reply that are asked for evidence.
const ASKED_MAX: usize = 4;

impl Client {
    /// An answer about an account as somebody gets it who never asked before: it stands alone.
    pub(super) async fn ask_alone(&self, account: AccountId) -> Result<Item, ClientError> {
        let reply = self.connection.ask_labels(None, &[(account, 0)]).await?;
        let answer = reply.answers.into_iter().next();
        Ok(Item::Account(ShownAnswer {
            before: None,
            known: Vec::new().into(),
            account,
            answer: answer.ok_or(NotVerified::Malformed("lookup"))?,
            head: reply.head,
        }))
    }

    /// An evidence file of this network.
    pub(super) fn evidence(&self, finding: Finding, items: Vec<Item>) -> Evidence {
        Evidence {
            finding,
            network: self.connection.network().bytes().to_vec().into(),
            items,
        }
    }

    /// Looks for proof after a reply did not verify, and keeps what there is as problems. A reply
    /// that a node made up proves nothing and leaves nothing behind.
    ///
    /// # Errors
    /// [`ClientError::Store`]; what cannot be asked for now is left.
    pub(super) async fn look_for_proof(
        &mut self,
        accounts: &[AccountId],
    ) -> Result<(), ClientError> {
        for account in accounts.iter().take(ASKED_MAX) {
            if let Ok(shown) = self.ask_alone(*account).await {
                self.keep_proof(*account, shown)?;
            }
        }
        self.write_evidence()
    }

    fn keep_proof(&self, account: AccountId, shown: Item) -> Result<(), ClientError> {
        let set = self.store.begin();
        let own = shown_head(&set)?.map(Item::Head);
        let items: Vec<_> = own.into_iter().chain([shown]).collect();
        let mut evidence = self.evidence(Finding::Fork, items);
        let report = evidence.check(&self.trust);
        let Some(finding) = report.proved.iter().find_map(Proved::finding) else {
            return Ok(());
        };
        evidence.finding = finding;
        let problem = Problem {
            kind: ProblemKind::Log(name_of(finding).to_owned()),
            account: concerns_one(finding).then_some(account.0),
            found_at: self.connection.now_ns(),
            evidence: evidence.to_bytes(),
            answer: None,
            written: false,
        };
        problem.keep(&set)?;
        self.commit(set)
    }
}

/// Whether a finding is about one label rather than the log as a whole.
const fn concerns_one(finding: Finding) -> bool {
    matches!(
        finding,
        Finding::HiddenVersion
            | Finding::MissingVersion
            | Finding::WrongAuthorisation
            | Finding::TwoValues
            | Finding::UnknownDevice
            | Finding::UnknownVersion
    )
}

/// The word for a finding in file names and for scripts.
pub(super) const fn name_of(finding: Finding) -> &'static str {
    match finding {
        Finding::Fork => "fork",
        Finding::Rollback => "rollback",
        Finding::StaleHead => "stale-head",
        Finding::FutureHead => "future-head",
        Finding::StaleCertificate => "stale-certificate",
        Finding::HiddenVersion => "hidden-version",
        Finding::MissingVersion => "missing-version",
        Finding::WrongAuthorisation => "wrong-authorisation",
        Finding::TwoValues => "two-values",
        Finding::OtherCanister => "other-canister",
        Finding::BadSignature => "bad-signature",
        Finding::TimeRegression => "time-regression",
        Finding::BadProof => "bad-proof",
        Finding::UnknownDevice => "unknown-device",
        Finding::UnknownVersion => "unknown-version",
    }
}
