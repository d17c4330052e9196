//! Canisters that only the bench runs, and the memories that they begin with.

use std::path::{Path, PathBuf};
use std::process::Command;

use paigham_wire::hash::blake3;

use crate::Failure;

const WASM: &str = "wasm32-unknown-unknown";

/// `target/paigham-bench`, found from where this program lies in the target folder.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("no target folder")?;
    let folder = target.join("paigham-bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// akd as a canister.
pub(super) fn akd_module(folder: &Path) -> Result<Vec<u8>, Failure> {
    cargo(
        "akd-canister",
        folder,
        &["build", "--lib", "--target", WASM],
    )?;
    let module = folder.join("akd").join(WASM).join("release");
    Ok(std::fs::read(module.join("paigham_bench_akd.wasm"))?)
}

/// The records of a log of akd, kept until its code changes.
pub(super) fn akd_records(folder: &Path, module: &[u8], labels: u32) -> Result<Vec<u8>, Failure> {
    kept(folder, &format!("akd-{labels}"), module, |file| {
        let labels = labels.to_string();
        let file = file.to_str().ok_or("a folder whose name is no text")?;
        cargo(
            "akd-canister",
            folder,
            &["run", "--bin", "seed", "--", &labels, file],
        )
    })
}

/// What `make` writes into a file, or wrote the last time for the same module.
pub(super) fn kept(
    folder: &Path,
    name: &str,
    module: &[u8],
    make: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<Vec<u8>, Failure> {
    let hash: String = blake3(module)[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let path = folder.join(format!("{name}-{hash}"));
    if let Ok(bytes) = std::fs::read(&path) {
        return Ok(bytes);
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(&format!("{name}-"))
        {
            std::fs::remove_file(entry.path())?;
        }
    }
    // Renamed when it is whole: a run that is stopped leaves no half of one behind.
    let half = path.with_extension("half");
    make(&half)?;
    std::fs::rename(&half, &path)?;
    Ok(std::fs::read(&path)?)
}

/// The directory with methods that run one part of its work each.
pub(super) fn log_module(folder: &Path) -> Result<Vec<u8>, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut cargo = command(&root, &folder.join("log"));
    cargo.args([
        "build",
        "--profile=canister",
        "--locked",
        "--quiet",
        "--lib",
    ]);
    cargo.args(["--package", "paigham-bench-log", "--target", WASM]);
    run(cargo)?;
    let module = folder.join("log").join(WASM).join("canister");
    Ok(std::fs::read(module.join("paigham_bench_log.wasm"))?)
}

/// The stable memory of a directory whose log has so many labels, kept until the code changes.
pub(super) fn log_image(folder: &Path, module: &[u8], labels: u32) -> Result<Vec<u8>, Failure> {
    kept(folder, &format!("log-{labels}"), module, |file| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut cargo = command(&root, &folder.join("log"));
        cargo.env_remove("RUSTFLAGS");
        cargo.args(["run", "--release", "--locked", "--quiet"]);
        cargo.args(["--package", "paigham-bench-log", "--bin", "seed", "--"]);
        cargo.arg(labels.to_string()).arg(file);
        run(cargo)
    })
}

/// Cargo with its own target folder and none of our flags but those of canisters.
fn command(folder: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(folder)
        .env_remove("RUSTC_WRAPPER")
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTFLAGS", "-Ctarget-feature=+simd128");
    cargo
}

fn run(mut cargo: Command) -> Result<(), Failure> {
    match cargo.status()?.success() {
        true => Ok(()),
        false => Err("a canister does not build; cargo's errors stand above".into()),
    }
}

/// Runs cargo on akd's workspace.
fn cargo(package: &str, folder: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let (first, rest) = arguments.split_first().ok_or("no command")?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join(package);
    let mut cargo = command(&workspace, &folder.join("akd"));
    cargo
        .arg(first)
        .args(["--release", "--locked", "--quiet"])
        .args(rest);
    if !arguments.contains(&WASM) {
        cargo.env_remove("RUSTFLAGS");
    }
    run(cargo)
}
