//! Data that is not on this machine yet: a file by its URL, fetched when it is read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Where files of one kind of URL come from.
pub trait DataSource: Send + Sync {
    /// How its URLs begin, `hf` for `hf://...`.
    fn scheme(&self) -> &'static str;

    /// A copy of a file on this machine. What was fetched before is there at once.
    ///
    /// # Errors
    /// Says why there is none, and what to do.
    fn fetch(&self, url: &str) -> Result<PathBuf, String>;
}

static SOURCES: RwLock<Vec<Arc<dyn DataSource>>> = RwLock::new(Vec::new());

/// From here on, data may be named by URLs of the source, in this whole program. A source takes the place of an earlier one of
/// its scheme.
pub fn add_data_source(source: impl DataSource + 'static) {
    let mut sources = SOURCES.write().unwrap_or_else(PoisonError::into_inner);
    sources.retain(|known| known.scheme() != source.scheme());
    sources.push(Arc::new(source));
}

/// The scheme of a path that is a URL.
fn scheme(path: &Path) -> Option<(&str, &str)> {
    let url = path.to_str()?;
    let (scheme, _) = url.split_once("://")?;
    let is_name = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then_some((scheme, url))
}

/// Whether a path is a URL, and no file on this machine.
pub(crate) fn is_url(path: &Path) -> bool {
    scheme(path).is_some()
}

/// The copy on this machine of a file that a URL names; `None` for a path that is none.
pub(crate) fn fetched(path: &Path) -> Option<Result<PathBuf, String>> {
    let (scheme, url) = scheme(path)?;
    let sources = SOURCES
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let source = sources.iter().find(|source| source.scheme() == scheme);
    Some(match source {
        Some(source) => source.fetch(url),
        None => {
            let known: Vec<String> = sources
                .iter()
                .map(|source| format!("{}://", source.scheme()))
                .collect();
            Err(match known.is_empty() {
                true => format!("nothing here fetches {scheme}:// files: download it"),
                false => format!(
                    "nothing here fetches {scheme}:// files, but {}: download it",
                    known.join(", ")
                ),
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl DataSource for Fixed {
        fn scheme(&self) -> &'static str {
            "fixed"
        }

        fn fetch(&self, url: &str) -> Result<PathBuf, String> {
            match url.strip_prefix("fixed://there/") {
                Some(name) => Ok(Path::new("/copies").join(name)),
                None => Err("it is not there".into()),
            }
        }
    }

    #[test]
    fn urls_are_fetched_and_paths_are_not() {
        add_data_source(Fixed);
        add_data_source(Fixed);
        let found = |path: &str| fetched(Path::new(path));
        assert_eq!(
            found("fixed://there/a.csv"),
            Some(Ok("/copies/a.csv".into()))
        );
        assert_eq!(found("fixed://x"), Some(Err("it is not there".into())));
        for path in ["/data/a.csv", "a.csv", "://a", "a b://c"] {
            assert_eq!(found(path), None, "{path}");
        }
        let error = found("s3://bucket/a.csv")
            .expect("a URL")
            .expect_err("unknown");
        assert!(
            error.contains("s3://") && error.contains("fixed://"),
            "{error}"
        );
    }
}
