//! Questions to the log, and reading what is answered.

use paigham_lookup::{LookedUp, Reading};
use paigham_transparency::codec::Codec;
use paigham_transparency::verifier::{TreeView, Verified, Verifier, VerifyError};
use paigham_wire::codec::encode;
use paigham_wire::directory::DirectoryError;
use paigham_wire::ids::AccountId;
use paigham_wire::log::{
    Cosignatures, CosignaturesRequest, LookupAnswers, Monitor, MonitorAnswers, MonitorRequest,
    Wanted,
};
use paigham_wire::relay::Credential;
use tls_codec::VLBytes;

use super::evidence::watched;
use super::kept::encoded;
use crate::client::Client;
use crate::connection::Connection;
use crate::conversation::{LAGGING_TRIES, LAGGING_WAIT};
use crate::error::{ClientError, NotVerified};

/// How often an answer to a watch is asked for that does not hold: a node may lie once, or be
/// another one next time.
pub(super) const WATCH_TRIES: u32 = 2;

impl Connection {
    /// Looks labels of accounts up, each from a version on.
    pub(super) async fn ask_labels(
        &self,
        last: Option<u64>,
        wanted: &[(AccountId, u32)],
    ) -> Result<LookupAnswers, ClientError> {
        let wanted: Vec<Wanted> = wanted
            .iter()
            .map(|(account, from)| Wanted {
                label: account.directory_label()[..].into(),
                from: *from,
                credential: Credential::none(),
            })
            .collect();
        self.ask_wanted(last, wanted).await
    }

    /// Asks what the draft's requests ask.
    pub(crate) async fn ask_monitor(
        &self,
        requests: Vec<Monitor>,
    ) -> Result<MonitorAnswers, ClientError> {
        let count = requests.len();
        let request = encode(&MonitorRequest { requests });
        let directory = self.directory().clone();
        let reply = self
            .query::<MonitorAnswers, DirectoryError>(&directory, "monitor", &request)
            .await?;
        if reply.answers.len() != count {
            return Err(NotVerified::Malformed("monitor").into());
        }
        Ok(reply)
    }

    /// What the auditors of the network say, connected with the log at a size.
    pub(crate) async fn ask_auditors(&self, size: u64) -> Result<Cosignatures, ClientError> {
        let request = encode(&CosignaturesRequest { size });
        let directory = self.directory().clone();
        self.in_step(async || {
            self.query::<Cosignatures, DirectoryError>(&directory, "cosignatures", &request)
                .await
        })
        .await
    }

    /// Asks a node that is a little behind again: it does not have the head that was named.
    pub(crate) async fn in_step<T>(
        &self,
        mut ask: impl AsyncFnMut() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        for _ in 0..LAGGING_TRIES {
            match ask().await {
                Err(ClientError::Directory(DirectoryError::DoesNotFit)) => {
                    tokio::time::sleep(LAGGING_WAIT).await;
                }
                answered => return answered,
            }
        }
        ask().await
    }
}

/// A request as bytes.
pub(crate) fn bytes_of(request: &impl Codec) -> Result<VLBytes, ClientError> {
    Ok(encoded(request)?.into())
}

impl Client {
    /// Asks one thing about what this device watches and checks the answer against a view, with what
    /// it keeps of the label (encoded). The caller keeps the new view together with what was asked
    /// for. An answer that does not hold is asked for again, and kept if that one does not hold
    /// either.
    pub(super) async fn ask_one<T>(
        &mut self,
        view: &TreeView,
        asked: (Monitor, Vec<u8>),
        check: impl Fn(&Verifier<'_>, &TreeView, u64, &[u8]) -> Result<Verified<T>, VerifyError>,
    ) -> Result<LookedUp<T>, ClientError> {
        let answered = self.ask_unless_empty(view, asked, check).await?;
        Ok(answered.ok_or(NotVerified::Malformed("monitor"))?)
    }

    /// As [`Client::ask_one`]; `None` where the log answers with no bytes.
    pub(super) async fn ask_unless_empty<T>(
        &mut self,
        view: &TreeView,
        (asked, state): (Monitor, Vec<u8>),
        check: impl Fn(&Verifier<'_>, &TreeView, u64, &[u8]) -> Result<Verified<T>, VerifyError>,
    ) -> Result<Option<LookedUp<T>>, ClientError> {
        let mut refused = None;
        for _ in 0..WATCH_TRIES {
            let reply = self.monitor_in_step(vec![asked.clone()]).await?;
            let answer = reply.answers.first();
            let answer = answer.ok_or(NotVerified::Malformed("monitor"))?.as_slice();
            if answer.is_empty() {
                return Ok(None);
            }
            match self.read_one(view, answer, reply.head.as_slice(), &check) {
                Ok(whole) => {
                    let time = whole.certificate_time_ns;
                    self.connection.check_time(time).await?;
                    return Ok(Some(whole));
                }
                Err(error) => refused = Some((error, reply)),
            }
        }
        let (error, reply) = refused.ok_or(ClientError::Bug("nothing was asked"))?;
        let shown = watched(&self.store.begin(), &asked, state, &reply, 0)?;
        let own = self.account.id();
        if let Some(shown) = shown {
            self.keep_refused(&[own], &error, shown).await?;
        }
        Err(error)
    }

    /// Asks what the draft's requests ask, of a node that has the head that they name.
    pub(super) async fn monitor_in_step(
        &self,
        asked: Vec<Monitor>,
    ) -> Result<MonitorAnswers, ClientError> {
        let connection = &self.connection;
        connection
            .in_step(async || connection.ask_monitor(asked.clone()).await)
            .await
    }

    fn read_one<T>(
        &self,
        view: &TreeView,
        answer: &[u8],
        head: &[u8],
        check: impl Fn(&Verifier<'_>, &TreeView, u64, &[u8]) -> Result<Verified<T>, VerifyError>,
    ) -> Result<LookedUp<T>, ClientError> {
        let mut reading = Reading::open(&self.trust, Some(view), head)?;
        let outcome = reading.check(answer, |verifier, known, now| {
            check(verifier, known.ok_or(VerifyError::State)?, now, answer)
        })?;
        Ok(reading.finish(outcome, None)?)
    }
}
