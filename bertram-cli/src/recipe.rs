//! Configs by name: a file, or one that is built in.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use bertram_train::config::{ConfigError, Loaded, Override, Settings};

/// Where a run's config comes from.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// One that is built in.
    BuiltIn {
        /// Its name: `--config NAME` takes it where there is no such file.
        name: &'static str,
        /// Its text.
        text: &'static str,
        /// When it is meant to be used, in a few words.
        meant_for: &'static str,
    },
    /// A file.
    File(PathBuf),
}

impl Recipe {
    /// What `train` takes on the generated corpus.
    pub const QUICK_START: Recipe = Recipe::BuiltIn {
        name: "quickstart",
        text: include_str!("../../configs/quickstart.toml"),
        meant_for: ": small generated tasks, a small random BERT",
    };

    /// What `train` takes on data of one's own.
    pub const RECOMMENDED: Recipe = Recipe::BuiltIn {
        name: "recommended",
        text: include_str!("../../configs/recommended.toml"),
        meant_for: ": the recipe for your own data, with data.bad-rows = \"error\" unless you set it; --config takes another",
    };

    /// The file of this name, or the config that is built in under it.
    pub fn named(path: &Path) -> Self {
        let built_in = [Self::QUICK_START, Self::RECOMMENDED];
        let known = built_in.into_iter().find(|recipe| {
            !path.exists() && path.to_str().is_some_and(|asked| asked == recipe.name())
        });
        known.unwrap_or_else(|| Recipe::File(path.to_owned()))
    }

    /// Name for a run folder: the file's without its ending.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Recipe::BuiltIn { name, .. } => (*name).into(),
            Recipe::File(path) => path
                .file_stem()
                .map_or_else(|| "run".into(), |stem| stem.to_string_lossy()),
        }
    }

    /// For a person: where the settings come from.
    pub fn describe(&self) -> String {
        match self {
            Recipe::BuiltIn { name, .. } => format!("{name} (built in)"),
            Recipe::File(path) => path.display().to_string(),
        }
    }

    /// What a config that nobody asked for is about, to go behind its description.
    pub fn meant_for(&self) -> &'static str {
        match self {
            Recipe::BuiltIn { meant_for, .. } => meant_for,
            Recipe::File(_) => "",
        }
    }

    /// Reads and checks it; `overrides` go over it.
    pub fn load(&self, overrides: &[Override]) -> Result<Loaded, ConfigError> {
        match self {
            Recipe::BuiltIn { name, text, .. } => {
                Settings::from_text_with(&format!("{name} (built in)"), text, overrides)
            }
            Recipe::File(path) => Settings::load_with(path, overrides),
        }
    }
}

/// `--data` and `--model` as the keys that they stand for.
pub fn flags(data: Option<&Path>, model: Option<&str>) -> Vec<Override> {
    let data = data.map(|data| {
        let data = data.to_string_lossy().into_owned();
        Override::flag("--data", "data.dir", data)
    });
    let model = model.map(|model| Override::flag("--model", "model.path", model.to_owned()));
    data.into_iter().chain(model).collect()
}
