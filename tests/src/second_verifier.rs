//! The verifier in `spec/verifier`, which shares no code with us.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A Python that has what the second verifier needs.
#[derive(Debug, Clone)]
pub struct SecondVerifier {
    python: PathBuf,
}

impl SecondVerifier {
    /// The Python that `PAIGHAM_PYTHON` names, that of `target/second-verifier`, or the usual one.
    ///
    /// `None`, said aloud, where none has the packages.
    ///
    /// # Panics
    /// Instead of `None` where `PAIGHAM_NEEDS_PYTHON` is set: continuous integration must not pass
    /// without the second opinion.
    #[must_use]
    pub fn find() -> Option<Self> {
        let named = std::env::var_os("PAIGHAM_PYTHON").map(PathBuf::from);
        let made = root().join("target/second-verifier/bin/python");
        let candidates = named.into_iter().chain([made, PathBuf::from("python3")]);
        let found = candidates.map(|python| Self { python }).find(Self::works);
        if found.is_none() {
            let how = "no Python with the packages of spec/verifier/requirements.txt: the second verifier did not run";
            assert!(std::env::var_os("PAIGHAM_NEEDS_PYTHON").is_none(), "{how}");
            // Past what a test's harness hides.
            let mut stderr = std::io::stderr();
            stderr
                .write_all(format!("\nNOT RUN: {how}\n\n").as_bytes())
                .unwrap();
        }
        found
    }

    fn works(&self) -> bool {
        let output = self.command().args(["-c", "import nacl, py_ecc"]).output();
        output.is_ok_and(|output| output.status.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command
            .current_dir(root().join("spec/verifier"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs a module of the verifier to its end.
    ///
    /// # Panics
    /// If Python cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().arg("-m").args(arguments).output().unwrap()
    }

    /// Runs a module of the verifier, which must find nothing wrong; gives what it printed.
    ///
    /// # Panics
    /// With its words if it finds something.
    pub fn passes(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}\n{errors}");
        words
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
