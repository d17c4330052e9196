//! Evidence files of this device, and what is still missing in them (`spec/evidence.md`).

use paigham_lookup::evidence::{Evidence, Item, Proved, ShownLabel, ShownWatch};
use paigham_lookup::finding::Finding;
use paigham_store::WriteSet;
use paigham_transparency::structs::DistinguishedRequest;
use paigham_wire::ids::AccountId;
use paigham_wire::log::{Monitor, MonitorAnswers, Wanted};
use paigham_wire::relay::Credential;

use super::ask::bytes_of;
use super::kept::shown_head;
use super::problem::{Problem, ProblemKind, all, put};
use crate::client::Client;
use crate::error::{ClientError, NotVerified};
use crate::trust;

/// An evidence file of this home's network.
pub(crate) fn evidence_of(
    set: &WriteSet,
    finding: Finding,
    items: Vec<Item>,
) -> Result<Evidence, ClientError> {
    Ok(Evidence {
        finding,
        network: trust::pinned_bytes(set)?.into(),
        items,
    })
}

/// The own newest head, which is signed, as the first item.
pub(crate) fn own_head(set: &WriteSet) -> Result<Vec<Item>, ClientError> {
    Ok(shown_head(set)?.map(Item::Head).into_iter().collect())
}

impl Client {
    /// An answer about a handle or a network as somebody gets it who never asked before.
    pub(crate) async fn ask_label_alone(&self, label: &[u8]) -> Result<ShownLabel, ClientError> {
        let wanted = Wanted {
            label: label.into(),
            from: 0,
            credential: Credential::none(),
        };
        let reply = self.connection.ask_wanted(None, vec![wanted]).await?;
        let answer = reply.answers.into_iter().next();
        Ok(ShownLabel {
            label: label.into(),
            answer: answer.ok_or(NotVerified::Malformed("lookup"))?,
            head: reply.head,
        })
    }

    /// The newest distinguished heads as somebody gets them who never asked before.
    async fn ask_distinguished_alone(&self) -> Result<Item, ClientError> {
        let request = DistinguishedRequest {
            last: None,
            stop: None,
        };
        let asked = vec![Monitor::Distinguished(bytes_of(&request)?)];
        let reply = self.connection.ask_monitor(asked).await?;
        let answer = reply.answers.into_iter().next();
        Ok(Item::Distinguished(
            answer.ok_or(NotVerified::Malformed("monitor"))?,
        ))
    }

    /// Adds the own half to files that were begun where nobody could be asked: what a member said or
    /// a commit carried came with a message.
    ///
    /// # Errors
    /// [`ClientError::Store`]. What cannot be asked for now is asked for the next time.
    pub(crate) async fn complete_evidence(&mut self) -> Result<(), ClientError> {
        let begun: Vec<_> = {
            let kept = all(&self.store.begin())?.into_iter();
            kept.filter_map(|(number, problem)| Some((number, missing(&problem)?, problem)))
                .collect()
        };
        for (number, missing, mut problem) in begun {
            let asked = match missing {
                Missing::Account(account) => self.ask_alone(account).await,
                Missing::Distinguished => self.ask_distinguished_alone().await,
            };
            let (Ok(item), Ok(mut evidence)) = (asked, Evidence::from_bytes(&problem.evidence))
            else {
                continue;
            };
            evidence.items.push(item);
            let report = evidence.check(&self.trust);
            if let Some(finding) = report.proved.iter().find_map(Proved::finding) {
                evidence.finding = finding;
            }
            problem.evidence = evidence.to_bytes();
            problem.written = false;
            let set = self.store.begin();
            put(&set, number, &problem)?;
            self.commit(set)?;
        }
        self.write_evidence()
    }

    /// Keeps an answer to a watch that did not hold twice in a row, with what it was checked
    /// against. Where somebody who knows nothing is shown what proves the log's fault, that is the
    /// problem; else the file shows what was answered, and stops nothing.
    ///
    /// # Errors
    /// [`ClientError::Store`].
    pub(crate) async fn keep_refused(
        &mut self,
        accounts: &[AccountId],
        error: &ClientError,
        shown: ShownWatch,
    ) -> Result<(), ClientError> {
        let ClientError::NotVerified(NotVerified::Log(reason)) = error else {
            return Ok(());
        };
        let Some(finding) = Finding::of(reason) else {
            return Ok(());
        };
        if self.look_for_proof(accounts).await? {
            return Ok(());
        }
        let set = self.store.begin();
        let evidence = evidence_of(&set, finding, vec![Item::Watched(shown)])?;
        let account = match accounts {
            [one] => Some(*one),
            _ => None,
        };
        let kind = ProblemKind::Refused(super::blame::name_of(finding).to_owned());
        Problem::new(kind, account, self.connection.now_ns(), &evidence).keep(&set)?;
        self.commit(set)?;
        self.write_evidence()
    }
}

/// What an answer to a watch was checked against, as evidence.
pub(super) fn watched(
    set: &WriteSet,
    request: &Monitor,
    state: Vec<u8>,
    reply: &MonitorAnswers,
    index: usize,
) -> Result<Option<ShownWatch>, ClientError> {
    let before = shown_head(set)?;
    let answer = reply.answers.get(index);
    Ok(before.zip(answer).map(|(before, answer)| ShownWatch {
        before,
        request: request.clone(),
        state: state.into(),
        answer: answer.clone(),
        // Beside the first answer only; the others are under the head that this one shows.
        head: reply.head.clone(),
    }))
}

/// What a file still lacks.
enum Missing {
    /// An own look at the account.
    Account(AccountId),
    /// The own newest distinguished heads.
    Distinguished,
}

fn missing(problem: &Problem) -> Option<Missing> {
    let evidence = Evidence::from_bytes(&problem.evidence).ok()?;
    let of_accounts = evidence.items.iter();
    let of_accounts = of_accounts.filter(|item| matches!(item, Item::Account(_)));
    let is_distinguished = |item: &Item| matches!(item, Item::Distinguished(_));
    match &problem.kind {
        ProblemKind::OtherRoots if !evidence.items.iter().any(is_distinguished) => {
            Some(Missing::Distinguished)
        }
        ProblemKind::TwoHistories if of_accounts.count() < 2 => {
            problem.account.map(|id| Missing::Account(AccountId(id)))
        }
        _ => None,
    }
}
