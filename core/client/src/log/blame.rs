//! What a reply that does not verify proves, and to whom: a lying node proves nothing, a head that
//! the subnet signed proves what it shows (`spec/evidence.md`).

use paigham_lookup::evidence::{Item, Proved, ShownAnswer};
use paigham_lookup::finding::Finding;
use paigham_wire::ids::AccountId;

use super::evidence::{evidence_of, own_head};
use super::problem::{Problem, ProblemKind};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};

/// Accounts of one failed reply that are asked for evidence.
const ASKED_MAX: usize = 4;

impl Client {
    /// An answer about an account as somebody gets it who never asked before: it stands alone.
    pub(crate) async fn ask_alone(&self, account: AccountId) -> Result<Item, ClientError> {
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

    /// Looks for proof after a reply did not verify, and keeps what there is as problems. A reply
    /// that a node made up proves nothing and leaves nothing behind. Says whether there is proof.
    ///
    /// # Errors
    /// [`ClientError::Store`]; what cannot be asked for now is left.
    pub(super) async fn look_for_proof(
        &mut self,
        accounts: &[AccountId],
    ) -> Result<bool, ClientError> {
        let mut is_proved = false;
        for account in accounts.iter().take(ASKED_MAX) {
            if let Ok(shown) = self.ask_alone(*account).await {
                is_proved |= self.keep_proof(*account, shown)?;
            }
        }
        self.write_evidence()?;
        Ok(is_proved)
    }

    /// Keeps what an answer that stands alone proves, if it proves anything, together with the own
    /// signed head.
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub(super) fn keep_proof(&self, account: AccountId, shown: Item) -> Result<bool, ClientError> {
        let set = self.store.begin();
        let mut items = own_head(&set)?;
        items.push(shown);
        let mut evidence = evidence_of(&set, Finding::Fork, items)?;
        let report = evidence.check(&self.trust);
        let Some(finding) = report.proved.iter().find_map(Proved::finding) else {
            return Ok(false);
        };
        evidence.finding = finding;
        let kind = ProblemKind::Log(name_of(finding).to_owned());
        let account = concerns_one(finding).then_some(account);
        Problem::new(kind, account, self.connection.now_ns(), &evidence).keep(&set)?;
        self.commit(set)?;
        Ok(true)
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
        Finding::TwoNetworkFiles => "two-network-files",
        Finding::NetworkNotLogged => "network-not-logged",
    }
}
