//! Builds the canisters for wasm32 with their own profile, in a target folder of their own.
//!
//! The outer cargo holds the lock of its target folder while this runs, so the inner one must not
//! share it. Flags and wrappers of the outer build are cleared and paths are remapped, so that the
//! same sources give the same bytes whoever builds them, in whatever folder.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Package and file name of each canister.
const CANISTERS: [(&str, &str); 2] = [
    ("paigham-directory", "paigham_directory"),
    ("paigham-relay", "paigham_relay"),
];

const WASM: &str = "wasm32-unknown-unknown";

/// What the canisters are made of, from the workspace's root.
const SOURCES: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "core/wire/Cargo.toml",
    "core/wire/src",
    "core/transparency/Cargo.toml",
    "core/transparency/src",
    "canister-backend/directory",
    "canister-backend/relay",
];

/// Variables of the outer build that would change the inner one.
const CLEARED: [&str; 12] = [
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC",
    "RUSTC_BOOTSTRAP",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_INCREMENTAL",
    "CLIPPY_ARGS",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?)
        .join("../..")
        .canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let target = canister_target(&out)?;
    ensure_wasm_target()?;
    build(&root, &target)?;
    for (_, file) in CANISTERS {
        let module = target.join(WASM).join("canister").join(file);
        std::fs::copy(
            module.with_extension("wasm"),
            out.join(file).with_extension("wasm"),
        )?;
    }
    Ok(())
}

/// rustup installs what `rust-toolchain.toml` names with a toolchain, but adds nothing to one that
/// is there already.
fn ensure_wasm_target() -> Result<(), Box<dyn Error>> {
    let libraries = Command::new(env::var("RUSTC")?)
        .args(["--print=target-libdir", "--target", WASM])
        .output()?;
    let libraries = String::from_utf8(libraries.stdout)?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    match Command::new("rustup")
        .args(["target", "add", WASM])
        .status()
    {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("the target {WASM} is missing: `rustup target add {WASM}`").into()),
    }
}

/// `target/canister-modules`, beside the profiles of the outer build, so that all profiles share it.
fn canister_target(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let target = out
        .ancestors()
        .nth(4)
        .ok_or("OUT_DIR lies in no target folder")?;
    Ok(target.join("canister-modules"))
}

fn build(root: &Path, target: &Path) -> Result<(), Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    for (name, _) in env::vars_os() {
        let inherited = name.to_string_lossy().starts_with("CARGO_PROFILE_");
        if inherited || CLEARED.iter().any(|cleared| name == *cleared) {
            cargo.env_remove(name);
        }
    }
    cargo
        .current_dir(root)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(root)?)
        .args([
            "build",
            "--locked",
            "--profile=canister",
            "--lib",
            "--target",
            WASM,
            "--target-dir",
        ]);
    cargo.arg(target);
    for (package, _) in CANISTERS {
        cargo.args(["--package", package]);
    }
    match cargo.status()?.success() {
        true => Ok(()),
        false => Err("the canisters do not build; cargo's errors stand above".into()),
    }
}

fn flags(root: &Path) -> Result<String, Box<dyn Error>> {
    let cargo_home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(env::var_os("HOME").ok_or("neither CARGO_HOME nor HOME is set")?)
            .join(".cargo"),
    };
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [
        remap(&cargo_home, "/cargo"),
        remap(root, "/paigham"),
        // BLAKE3 halves with it, and every subnet supports it.
        "-Ctarget-feature=+simd128".to_owned(),
    ];
    Ok(flags.join("\u{1f}"))
}
