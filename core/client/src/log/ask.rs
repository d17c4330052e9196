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

use super::kept::encoded;
use crate::client::Client;
use crate::connection::Connection;
use crate::conversation::{LAGGING_TRIES, LAGGING_WAIT};
use crate::error::{ClientError, NotVerified};

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
    /// Asks one thing and checks the answer against a view. The caller keeps the new view together
    /// with what was asked for.
    pub(super) async fn ask_one<T>(
        &self,
        view: &TreeView,
        asked: Monitor,
        check: impl FnOnce(&Verifier<'_>, &TreeView, u64, &[u8]) -> Result<Verified<T>, VerifyError>,
    ) -> Result<LookedUp<T>, ClientError> {
        let connection = &self.connection;
        let reply = connection
            .in_step(async || connection.ask_monitor(vec![asked.clone()]).await)
            .await?;
        let answer = reply.answers.first();
        let answer = answer.ok_or(NotVerified::Malformed("monitor"))?.as_slice();
        let mut reading = Reading::open(&self.trust, Some(view), reply.head.as_slice())?;
        let outcome = reading.check(answer, |verifier, known, now| {
            check(verifier, known.ok_or(VerifyError::State)?, now, answer)
        })?;
        let whole = reading.finish(outcome, None)?;
        connection.check_time(whole.certificate_time_ns).await?;
        Ok(whole)
    }
}
