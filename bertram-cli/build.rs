//! Hashes what compiled kernels follow from, so that a cache of them is that of one build; and notes the commit.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sources of our own kernels, and the versions of all libraries: there in a checkout.
const SOURCES: [&str; 2] = ["../bertram-kernels/src", "../Cargo.lock"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut hash = String::new();
    let has = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if has("WGPU") || has("CUDA") {
        let mut files = Vec::new();
        for source in SOURCES.map(Path::new).into_iter().filter(|it| it.exists()) {
            println!("cargo::rerun-if-changed={}", source.display());
            collect(source, &mut files);
        }
        files.sort();
        if !files.is_empty() {
            let mut hasher = DefaultHasher::new();
            for file in files {
                // A file that cannot be read does not compile, either.
                hasher.write(&std::fs::read(file).unwrap_or_default());
            }
            hash = format!("-{:016x}", hasher.finish());
        }
    }
    // So that the program finds LibTorch where it was built beside it.
    if let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") {
        println!(
            "cargo::rustc-link-arg=-Wl,-rpath,{}",
            PathBuf::from(lib).display()
        );
    }
    println!("cargo::rustc-env=BERTRAM_KERNELS_HASH={hash}");
    println!("cargo::rustc-env=BERTRAM_COMMIT={}", commit());
}

/// The commit that is built, where that is known; `-dirty` behind it where files were changed since. Nothing for builds to
/// develop with, which would link anew after every commit.
fn commit() -> String {
    if std::env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return String::new();
    }
    // What cargo writes into a package.
    let packaged = std::fs::read_to_string(".cargo_vcs_info.json").unwrap_or_default();
    if let Some((_, rest)) = packaged.split_once("\"sha1\": \"") {
        return rest.chars().take(12).collect();
    }
    for file in ["HEAD", "index", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&[
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ])
    .unwrap_or_default()
}

/// What git says, in a checkout of ours.
fn git(args: &[&str]) -> Option<String> {
    if !Path::new("../bertram-kernels/src").exists() {
        return None;
    }
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|_| output.status.success())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    match std::fs::read_dir(path) {
        Ok(entries) => {
            for entry in entries.flatten() {
                collect(&entry.path(), files);
            }
        }
        Err(_) => files.push(path.to_owned()),
    }
}
