//! What `bertram-cli tune` found, from one process to the next.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use bertram_core::fs::atomic_write;
use bertram_kernels::products::{TunedProduct, use_tuned};
use serde::{Deserialize, Serialize};

use super::IGNORE_TUNED;
use super::cache::cache_folder;
use super::runtime::file_name;

/// The file of this process's device.
static FILE: OnceLock<PathBuf> = OnceLock::new();

/// A file of products.
#[derive(Debug, Serialize, Deserialize)]
struct Tuned {
    /// What the file is.
    bertram_tuned_products: u32,
    products: Vec<TunedProduct>,
}

const FORMAT: u32 = 1;

/// Has the products of a device computed as was found for it, with this version of bertram. A file that cannot be read is
/// left out, with a warning.
pub fn use_for(device: &str) {
    let Some(folder) = cache_folder() else { return };
    let file = folder
        .join("products")
        .join(format!("{}.json", file_name(device)));
    let file = FILE.get_or_init(|| file);
    if IGNORE_TUNED.load(Ordering::SeqCst) {
        return;
    }
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => {
            tracing::warn!("{}: {error}; products are computed by rule", file.display());
            return;
        }
    };
    match serde_json::from_str::<Tuned>(&text) {
        Ok(tuned) if tuned.bertram_tuned_products == FORMAT => use_tuned(&tuned.products),
        _ => tracing::warn!(
            "{} is damaged or not ours; products are computed by rule. Remove it, or run `bertram-cli tune` again",
            file.display()
        ),
    }
}

/// Keeps what was found, beside what was found before for other shapes.
pub fn keep(found: &[TunedProduct]) {
    let Some(file) = FILE.get() else {
        tracing::warn!(
            "no cache folder is known (BERTRAM_CACHE, XDG_CACHE_HOME or HOME names one): what was found is lost"
        );
        return;
    };
    let before = std::fs::read_to_string(file).unwrap_or_default();
    let before: Vec<TunedProduct> = match serde_json::from_str::<Tuned>(&before) {
        Ok(tuned) if tuned.bertram_tuned_products == FORMAT => tuned.products,
        _ => Vec::new(),
    };
    let is_new = |old: &TunedProduct| found.iter().any(|new| new.shape == old.shape);
    let mut products: Vec<TunedProduct> = before.into_iter().filter(|old| !is_new(old)).collect();
    products.extend_from_slice(found);
    let tuned = Tuned {
        bertram_tuned_products: FORMAT,
        products,
    };
    let written = serde_json::to_vec_pretty(&tuned)
        .map_err(std::io::Error::from)
        .and_then(|text| {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            atomic_write(file, &text).map_err(std::io::Error::other)
        });
    if let Err(error) = written {
        tracing::warn!("what was found cannot be kept: {error}");
    }
}
