//! What this program was built from, for `--version` and for what runs note.

use std::sync::LazyLock;

use bertram_train::pipeline::BURN_VERSION;

/// Cargo features that say what the program can do.
const FEATURES: [(&str, bool); 9] = [
    ("flex", cfg!(feature = "flex")),
    ("libtorch", cfg!(feature = "libtorch")),
    ("ndarray", cfg!(feature = "ndarray")),
    ("cuda", cfg!(feature = "cuda")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("metal", cfg!(feature = "metal")),
    ("wgpu", cfg!(feature = "wgpu")),
    ("parquet", cfg!(feature = "parquet")),
    (
        "activation-checkpointing",
        cfg!(feature = "activation-checkpointing"),
    ),
];

/// The commit; `None` where the build did not know, as in builds to develop with.
pub fn commit() -> Option<String> {
    Some(env!("BERTRAM_COMMIT").to_owned()).filter(|commit| !commit.is_empty())
}

/// Version, commit, Burn and features, for `--version`.
pub fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let commit = commit().map_or(String::new(), |commit| format!(" (commit {commit})"));
        let features = FEATURES.iter().filter(|(_, there)| *there);
        let features: Vec<&str> = features.map(|(name, _)| *name).collect();
        format!(
            "{}{commit}\nBurn {BURN_VERSION}\nfeatures: {}",
            env!("CARGO_PKG_VERSION"),
            features.join(", ")
        )
    });
    &TEXT
}
