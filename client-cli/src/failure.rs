//! What a command fails with: whose turn it is, what happened, what helps.

use std::fmt;
use std::process::ExitCode;

use paigham_client::review::ReviewError;
use paigham_client::{ClientError, ErrorKind};
use paigham_network::NetworkUpError;
use paigham_subnet::OpenError;

use crate::text;

/// Who must act; each kind has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The user: a wrong name, a wrong passphrase.
    User,
    /// Nobody can be reached, or the clock is wrong.
    Network,
    /// Somebody answered what does not verify.
    Verification,
    /// The home's files.
    Storage,
    /// A bug of ours.
    Internal,
}

impl Kind {
    /// 1 internal, 2 usage (clap's own too), 3 user, 4 network, 5 not verified, 6 storage.
    const fn code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::User => 3,
            Self::Network => 4,
            Self::Verification => 5,
            Self::Storage => 6,
        }
    }

    /// As JSON names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::User => "user",
            Self::Network => "network",
            Self::Verification => "not_verified",
            Self::Storage => "storage",
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: String,
}

impl Failure {
    /// Any failure. What others said in it is made harmless.
    pub fn new(kind: Kind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind,
            message: text::clean(&message.into()),
            hint: hint.into(),
        }
    }

    /// A failure that the user can mend.
    pub fn user(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::User, message, hint)
    }

    /// Whose turn it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Says so on stderr (as JSON where asked) and gives the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        if json {
            let error = serde_json::json!({
                "error": { "kind": self.kind.name(), "message": self.message, "hint": self.hint }
            });
            eprintln!("{}", text::escape_json(&error.to_string()));
        } else {
            eprintln!("paigham: {self}");
        }
        ExitCode::from(self.kind.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl From<ErrorKind> for Kind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::User => Self::User,
            ErrorKind::Network => Self::Network,
            ErrorKind::NotVerified => Self::Verification,
            ErrorKind::Storage => Self::Storage,
            ErrorKind::Internal => Self::Internal,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(error.kind().into(), error.to_string(), error.hint())
    }
}

impl From<ReviewError> for Failure {
    fn from(error: ReviewError) -> Self {
        let hint = match &error {
            ReviewError::Network(error) => error.hint(),
            other => other.hint(),
        };
        Self::new(error.kind().into(), error.to_string(), hint)
    }
}

impl From<NetworkUpError> for Failure {
    fn from(error: NetworkUpError) -> Self {
        let (kind, hint) = match &error {
            NetworkUpError::Subnet(OpenError::InUse) => (
                Kind::User,
                "stop the other one, or name another folder with --data",
            ),
            NetworkUpError::Subnet(OpenError::Layout(_)) => (
                Kind::User,
                "use the version that wrote it, or name another folder with --data",
            ),
            NetworkUpError::Subnet(OpenError::Disk(_) | OpenError::State(_))
            | NetworkUpError::Disk { .. }
            | NetworkUpError::File(_)
            | NetworkUpError::OtherSubnet
            | NetworkUpError::OtherReleaseKey
            | NetworkUpError::ReleaseKey
            | NetworkUpError::RootKey => (
                Kind::Storage,
                "the data folder is damaged or mixed up; nothing in it was changed",
            ),
            NetworkUpError::Layout(_)
            | NetworkUpError::NoNetwork
            | NetworkUpError::NoSubnet(_)
            | NetworkUpError::Subnet(OpenError::Replicas(_)) => {
                (Kind::User, "see `paigham help network`")
            }
            NetworkUpError::NotLogged => (Kind::User, "run `paigham network up` on this folder"),
            NetworkUpError::Subnet(OpenError::Diverged(_)) => (
                Kind::Internal,
                "this machine's memory may be faulty; nothing in the data folder was changed",
            ),
            NetworkUpError::Subnet(OpenError::Start(_))
            | NetworkUpError::Stopped(_)
            | NetworkUpError::Install { .. }
            | NetworkUpError::Log(_)
            | NetworkUpError::Logged(_)
            | NetworkUpError::Random(_) => (Kind::Internal, ""),
        };
        Self::new(kind, error.to_string(), hint)
    }
}

#[cfg(test)]
mod tests {
    use paigham_client::NotVerified;

    use super::*;

    fn of(error: ClientError) -> (u8, &'static str) {
        let kind = Failure::from(error).kind();
        (kind.code(), kind.name())
    }

    /// A script tells by the code whether to ask the user, to try again, or to raise an alarm.
    #[test]
    fn each_kind_has_its_exit_code() {
        assert_eq!(of(ClientError::NoSuchName("x".into())), (3, "user"));
        assert_eq!(of(ClientError::Away), (3, "user"));
        assert_eq!(of(ClientError::Unreachable("x".into())), (4, "network"));
        assert_eq!(of(ClientError::Unfinished("x")), (4, "network"));
        assert_eq!(of(NotVerified::WitnessRoot.into()), (5, "not_verified"));
        assert_eq!(of(ClientError::OtherNetworkFile), (5, "not_verified"));
        assert_eq!(of(ClientError::Bug("x")), (1, "internal"));
        assert_eq!(Kind::Storage.code(), 6);
        let busy = NetworkUpError::Subnet(OpenError::InUse);
        assert_eq!(Failure::from(busy).kind(), Kind::User);
        assert_eq!(
            Failure::from(NetworkUpError::OtherSubnet).kind(),
            Kind::Storage
        );
    }

    /// A node's words in an error cannot draw on the terminal; the hint stands on its own line.
    #[test]
    fn what_others_said_is_harmless() {
        let failure = Failure::user("no\u{1b}[2J\nsecond", "try again");
        assert_eq!(
            failure.to_string(),
            "no\u{FFFD}[2J second\n  hint: try again"
        );
    }
}
