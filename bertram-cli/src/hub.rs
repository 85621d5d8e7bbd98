//! Models by folder, run, or Hugging Face hub id, and data files of the hub.

use std::path::{Path, PathBuf};

use bertram_train::data_source::DataSource;
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use crate::error::{CliError, CliResult, input, work};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const TOKENIZER: &str = "tokenizer.json";
const VOCAB: &str = "vocab.txt";
const MODULES: &str = "modules.json";
/// Files of a tokenizer that a repository need not have, and that say something where it has them.
const TOKENIZER_PARTS: [&str; 3] = [
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
];
/// Files beside `modules.json` in a sentence-transformers repository; none is a must.
const SENTENCE_PARTS: [&str; 2] = [
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];

/// The folder that `model` stands for: itself, the `model/` of a run folder, or the snapshot of a hub id, which is
/// downloaded into the usual cache where it is not there yet.
///
/// Honours `HF_HOME` (and `XDG_CACHE_HOME` where it is not set), `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN` and
/// `HF_HUB_OFFLINE`.
pub fn resolve_model(model: &str, revision: &str) -> CliResult<PathBuf> {
    let path = Path::new(model);
    if path.is_dir() {
        let export = path.join("model");
        let is_run = !path.join(CONFIG).is_file() && export.join(CONFIG).is_file();
        return Ok(if is_run { export } else { path.to_owned() });
    }
    if path.exists() {
        return Err(input(anyhow::anyhow!(
            "{model} is a file: name the folder that holds config.json, the tokenizer and model.safetensors"
        )));
    }
    if !looks_like_hub_id(model) {
        return Err(input(anyhow::anyhow!(
            "{model} is neither a folder nor a hub id (like bert-base-uncased or google/bert_uncased_L-2_H-128_A-2)"
        )));
    }
    snapshot(model, revision)
}

fn looks_like_hub_id(model: &str) -> bool {
    let parts: Vec<&str> = model.split('/').collect();
    parts.len() <= 2
        && parts.iter().all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        })
}

/// A variable's value; one that is empty counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where Hugging Face's own libraries keep what they download, and the token file next to it.
fn home_cache() -> Cache {
    let home = variable("HF_HOME").map(PathBuf::from).or_else(|| {
        variable("XDG_CACHE_HOME").map(|cache| PathBuf::from(cache).join("huggingface"))
    });
    home.map_or_else(Cache::default, |home| Cache::new(home.join("hub")))
}

/// Where downloads are kept.
fn cache(home: &Cache) -> Cache {
    variable("HF_HUB_CACHE").map_or_else(|| home.clone(), |path| Cache::new(PathBuf::from(path)))
}

fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| {
        !matches!(
            value.to_lowercase().as_str(),
            "" | "0" | "false" | "off" | "no"
        )
    })
}

fn snapshot(id: &str, revision: &str) -> CliResult<PathBuf> {
    let home = home_cache();
    let repo = Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned());
    let snapshot = Snapshot {
        cache: cache(&home),
        repo,
    };
    let folder = snapshot.folder();
    if let Some(folder) = &folder
        && snapshot.optional_parts(folder).next().is_none()
    {
        return Ok(folder.clone());
    }
    let offline = is_set("HF_HUB_OFFLINE");
    // What an earlier version, or another tool, left out may not be there at all.
    if let Some(folder) = folder {
        if !offline && let Err(error) = snapshot.complete(&home) {
            tracing::debug!("{id}: the cached files are used as they are: {error}");
        }
        return Ok(folder);
    }
    if offline {
        return Err(unreachable(id, &snapshot.cache, "HF_HUB_OFFLINE is set"));
    }
    let api = snapshot.api(&home).map_err(work)?;
    snapshot
        .download(&api)
        .map_err(|error| explain(id, revision, &snapshot.cache, error))?;
    snapshot.folder().ok_or_else(|| {
        work(anyhow::anyhow!(
            "{id} was downloaded, but its files are not in {}",
            snapshot.cache.path().display()
        ))
    })
}

/// One revision of one repository, in the cache.
struct Snapshot {
    cache: Cache,
    repo: Repo,
}

impl Snapshot {
    fn api(&self, home: &Cache) -> Result<ApiRepo, ApiError> {
        let token = variable("HF_TOKEN").or_else(|| home.token());
        let mut builder = ApiBuilder::from_cache(self.cache.clone()).with_token(token);
        if let Some(endpoint) = variable("HF_ENDPOINT") {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        // The crate draws its bars whether anybody sees them or not.
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let api = builder.with_progress(terminal).with_retries(2).build()?;
        Ok(api.repo(self.repo.clone()))
    }

    /// The snapshot's folder, if all that a model needs is there.
    fn folder(&self) -> Option<PathBuf> {
        let files = self.cache.repo(self.repo.clone());
        let folder = files.get(CONFIG)?.parent()?.to_owned();
        files.get(TOKENIZER).or_else(|| files.get(VOCAB))?;
        if files.get(WEIGHTS).is_some() {
            return Some(folder);
        }
        let index = std::fs::read_to_string(files.get(INDEX)?).ok()?;
        shards(&index)
            .iter()
            .all(|shard| files.get(shard).is_some())
            .then_some(folder)
    }

    /// Files that are neither in the folder nor known not to be in the repository.
    fn optional_parts(&self, folder: &Path) -> impl Iterator<Item = String> {
        let mut names: Vec<String> = TOKENIZER_PARTS.map(str::to_owned).to_vec();
        names.push(MODULES.to_owned());
        if let Ok(modules) = std::fs::read_to_string(folder.join(MODULES)) {
            names.extend(SENTENCE_PARTS.map(str::to_owned));
            names.extend(module_configs(&modules));
        }
        let folder = folder.to_owned();
        names.into_iter().filter(move |name| {
            !folder.join(name).is_file() && !absence(&folder, name).is_some_and(|it| it.is_file())
        })
    }

    /// Downloads what is optional and not there yet.
    fn complete(&self, home: &Cache) -> Result<(), ApiError> {
        let api = self.api(home)?;
        self.download_parts(&api)
    }

    fn download(&self, api: &ApiRepo) -> Result<(), ApiError> {
        api.get(CONFIG)?;
        if optional(api.get(TOKENIZER))?.is_none() {
            api.get(VOCAB)?;
        }
        self.download_parts(api)?;
        if optional(api.get(WEIGHTS))?.is_none() {
            let index = std::fs::read_to_string(api.get(INDEX)?)?;
            for shard in shards(&index) {
                api.get(&shard)?;
            }
        }
        Ok(())
    }

    fn download_parts(&self, api: &ApiRepo) -> Result<(), ApiError> {
        let config = self.cache.repo(self.repo.clone()).get(CONFIG);
        let Some(folder) = config.as_deref().and_then(Path::parent) else {
            return Ok(());
        };
        // A second time: modules.json names more files.
        for _ in 0..2 {
            for name in self.optional_parts(folder) {
                if optional(api.get(&name))?.is_none() {
                    note_absence(folder, &name);
                }
            }
        }
        Ok(())
    }
}

/// Where `huggingface_hub` notes that a repository has no file of a name: `.no_exist/COMMIT/NAME`.
fn absence(folder: &Path, name: &str) -> Option<PathBuf> {
    let commit = folder.file_name()?;
    let repo = folder.parent()?.parent()?;
    Some(repo.join(".no_exist").join(commit).join(name))
}

fn note_absence(folder: &Path, name: &str) {
    let Some(path) = absence(folder, name) else {
        return;
    };
    let parent = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    // Without the note the hub is asked again the next time.
    if let Err(error) = parent.and_then(|()| std::fs::write(&path, "")) {
        tracing::debug!("{}: {error}", path.display());
    }
}

/// The configs of the modules of a sentence-transformers model, by its `modules.json`.
fn module_configs(modules: &str) -> Vec<String> {
    let modules: Vec<serde_json::Value> = serde_json::from_str(modules).unwrap_or_default();
    modules
        .iter()
        .filter_map(|module| module.get("path")?.as_str())
        // The text is the repository's: it names folders inside of it, or nothing.
        .filter(|path| {
            let mut parts = Path::new(path).components().peekable();
            parts.peek().is_some()
                && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
        })
        .map(|path| format!("{}/{CONFIG}", path.trim_end_matches('/')))
        .collect()
}

/// A file that a repository need not have.
fn optional(result: Result<PathBuf, ApiError>) -> Result<Option<PathBuf>, ApiError> {
    match result {
        Ok(path) => Ok(Some(path)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_not_found(error: &ApiError) -> bool {
    match error {
        // The status is in the message only: the crate does not hand out the type of its HTTP client.
        ApiError::RequestError(error) => error.to_string().contains("status code 404"),
        ApiError::TooManyRetries(error) => is_not_found(error),
        _ => false,
    }
}

fn shards(index: &str) -> Vec<String> {
    let index: serde_json::Value = serde_json::from_str(index).unwrap_or_default();
    let mut names: Vec<String> = index
        .get("weight_map")
        .and_then(serde_json::Value::as_object)
        .map(|map| {
            map.values()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    names.dedup();
    names
}

fn explain(id: &str, revision: &str, cache: &Cache, error: ApiError) -> CliError {
    let text = error.to_string();
    if is_not_found(&error) {
        return input(anyhow::anyhow!(
            "the hub has no {id} at revision {revision} with config.json, tokenizer.json (or vocab.txt) and model.safetensors: {text}"
        ));
    }
    if is_forbidden(&text) {
        return input(anyhow::anyhow!(
            "the hub has no public model {id}: check its name, or set HF_TOKEN to a token that may read it: {text}"
        ));
    }
    unreachable(id, cache, &text)
}

fn unreachable(id: &str, cache: &Cache, reason: &str) -> CliError {
    input(anyhow::anyhow!(
        "{id} is not a folder here, not in the cache ({}), and cannot be downloaded: {reason}\n\
         Go online, or download its config.json, tokenizer.json and model.safetensors elsewhere and pass their folder to --model",
        cache.path().display()
    ))
}

/// Files of data sets on the hub, as `huggingface_hub` writes them: `hf://datasets/OWNER/NAME/PATH`, or of a revision
/// `hf://datasets/OWNER/NAME@REVISION/PATH`. Cached as models are.
pub struct HubDatasets;

impl DataSource for HubDatasets {
    fn scheme(&self) -> &'static str {
        "hf"
    }

    fn fetch(&self, url: &str) -> Result<PathBuf, String> {
        let (repo, path) = dataset_file(url).ok_or(
            "write hf://datasets/OWNER/NAME/PATH, or of a revision hf://datasets/OWNER/NAME@REVISION/PATH",
        )?;
        let home = home_cache();
        let cache = cache(&home);
        if let Some(file) = cache.repo(repo.clone()).get(&path) {
            return Ok(file);
        }
        let name = format!("{} at {}", repo.url(), repo.revision());
        let folder = cache.path().display().to_string();
        if is_set("HF_HUB_OFFLINE") {
            return Err(format!(
                "not in the cache ({folder}), and HF_HUB_OFFLINE is set: go online, or download the file"
            ));
        }
        let snapshot = Snapshot { cache, repo };
        let file = snapshot.api(&home).and_then(|api| api.get(&path));
        file.map_err(|error| {
            let text = error.to_string();
            if is_not_found(&error) {
                format!("the hub has no file {path} in {name}: {text}")
            } else if is_forbidden(&text) {
                format!("the hub has no public {name}: check the name, or set HF_TOKEN to a token that may read it: {text}")
            } else {
                format!("not in the cache ({folder}), and cannot be downloaded: {text}")
            }
        })
    }
}

/// The repository and the file that a URL names.
fn dataset_file(url: &str) -> Option<(Repo, String)> {
    let mut parts = url.strip_prefix("hf://datasets/")?.splitn(3, '/');
    let (owner, name, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    // A branch of another's pull request has slashes: refs%2Fconvert%2Fparquet, as everywhere on the hub.
    let revision = revision.replace("%2F", "/");
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    let id = format!("{owner}/{name}");
    let is_whole = inside && !path.is_empty() && !revision.is_empty() && looks_like_hub_id(&id);
    is_whole.then(|| {
        (
            Repo::with_revision(id, RepoType::Dataset, revision),
            path.to_owned(),
        )
    })
}

/// Whether the hub refuses a download to those who do not say who they are.
fn is_forbidden(message: &str) -> bool {
    message.contains("status code 401") || message.contains("status code 403")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_data_name_a_repository_and_a_file() {
        let parts = |url: &str| {
            dataset_file(url).map(|(repo, path)| (repo.url(), repo.revision().to_owned(), path))
        };
        let found = |repo: &str, revision: &str, path: &str| {
            Some((
                format!("datasets/{repo}"),
                revision.to_owned(),
                path.to_owned(),
            ))
        };
        assert_eq!(
            parts("hf://datasets/nyu-mll/glue/mrpc/train.parquet"),
            found("nyu-mll/glue", "main", "mrpc/train.parquet")
        );
        assert_eq!(
            parts("hf://datasets/a/b@refs%2Fconvert%2Fparquet/c.csv"),
            found("a/b", "refs/convert/parquet", "c.csv")
        );
        for url in [
            "hf://datasets/a/b",
            "hf://datasets/a/b/",
            "hf://datasets/a/b@/c.csv",
            "hf://datasets/a/b/../c.csv",
            "hf://datasets/a//c.csv",
            "hf://models/a/b/c.csv",
            "hf://a/b/c.csv",
        ] {
            assert_eq!(parts(url), None, "{url}");
        }
    }

    #[test]
    fn hub_ids_are_told_from_paths() {
        for id in ["bert-base-uncased", "google/bert_uncased_L-2_H-128_A-2"] {
            assert!(looks_like_hub_id(id), "{id}");
        }
        for path in [
            "./model",
            "../shared/models/x",
            "/abs/model",
            "a/b/c",
            "a b",
            "",
        ] {
            assert!(!looks_like_hub_id(path), "{path}");
        }
    }
}
