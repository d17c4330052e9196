//! What a command fails with: whose turn it is, what happened, what helps.

use std::fmt;
use std::process::ExitCode;

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

    const fn name(self) -> &'static str {
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
    /// Any failure.
    pub fn new(kind: Kind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: hint.into() }
    }

    /// A failure that the user can mend.
    pub fn user(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::User, message, hint)
    }

    /// Says so on stderr (as JSON where asked) and gives the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        if json {
            let error = serde_json::json!({
                "error": { "kind": self.kind.name(), "message": self.message, "hint": self.hint }
            });
            eprintln!("{error}");
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
