//! Hashes what compiled kernels follow from, so that a cache of them is that of one build.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

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
    println!("cargo::rustc-env=BERTRAM_KERNELS_HASH={hash}");
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
