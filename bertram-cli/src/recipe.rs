//! Recipes: configs by name, from a file or built in.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use bertram_core::fs::read_text;
use bertram_train::config::{
    BuiltIn, ConfigError, Loaded, Override, Settings, built_in_in_one_file, file_in_one_file,
};

/// The folder in which a checkout, or whoever has recipes of their own, keeps them.
pub const FOLDER: &str = "configs";

/// Folders of recipes in it, each with the one that it is.
const FOLDERS: [&str; 3] = ["", "experiments", "ladder"];

/// Most bytes of a recipe that is read to be shown: 16 MiB, as of any config.
const MOST_BYTES: u64 = 16 << 20;

/// A copy of the files of `configs/`: a crate takes nothing along from outside its folder (a test holds the two equal).
macro_rules! built_in {
    ($path:literal) => {
        BuiltIn {
            path: $path,
            text: include_str!(concat!("../recipes/", $path)),
        }
    };
}

const QUICK_START: BuiltIn = built_in!("quickstart.toml");
const RECOMMENDED: BuiltIn = built_in!("recommended.toml");

/// All that are built in, in the order in which they are listed.
pub const BUILT_IN: &[BuiltIn] = &[
    QUICK_START,
    RECOMMENDED,
    built_in!("best.toml"),
    built_in!("minilm-cpu.toml"),
    built_in!("ablation-demo.toml"),
    built_in!("experiments/base.toml"),
    built_in!("experiments/e01.toml"),
    built_in!("experiments/e02.toml"),
    built_in!("experiments/e03.toml"),
    built_in!("experiments/e04.toml"),
    built_in!("experiments/e05.toml"),
    built_in!("experiments/e06.toml"),
    built_in!("experiments/e07.toml"),
    built_in!("experiments/e08.toml"),
    built_in!("experiments/e09.toml"),
    built_in!("experiments/e10.toml"),
    built_in!("experiments/e11.toml"),
    built_in!("experiments/e12.toml"),
    built_in!("experiments/e13.toml"),
    built_in!("experiments/e14.toml"),
    built_in!("ladder/l00.toml"),
    built_in!("ladder/l01.toml"),
    built_in!("ladder/l02.toml"),
    built_in!("ladder/l03.toml"),
    built_in!("ladder/l04.toml"),
    built_in!("ladder/l05.toml"),
    built_in!("ladder/l06.toml"),
    built_in!("ladder/l07.toml"),
    built_in!("ladder/l08.toml"),
    built_in!("ladder/l09.toml"),
    built_in!("ladder/l10.toml"),
    built_in!("ladder/l11.toml"),
    built_in!("ladder/l12.toml"),
    built_in!("ladder/l13.toml"),
];

/// Where a config comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// One that is built in.
    BuiltIn(BuiltIn),
    /// A file.
    File(PathBuf),
}

impl Recipe {
    /// What `train` takes on the generated corpus.
    pub const QUICK_START: Recipe = Recipe::BuiltIn(QUICK_START);

    /// What `train` takes on data of one's own.
    pub const RECOMMENDED: Recipe = Recipe::BuiltIn(RECOMMENDED);

    /// What a user means by a file or a name: the file that is there; by a bare name the file `configs/NAME.toml` or
    /// `configs/experiments/NAME.toml` of the working directory, else the recipe that is built in under it. A path below
    /// `configs/` of which there is no file means what is built in, too, so that what is written of a checkout works
    /// everywhere.
    pub fn named(path: &Path) -> Self {
        if path.exists() && !path.is_dir() {
            return Recipe::File(path.to_owned());
        }
        let found = match bare_name(path) {
            Some(name) => Self::of_name(name),
            None => built_in_at(path),
        };
        found.unwrap_or_else(|| Recipe::File(path.to_owned()))
    }

    /// The recipe of a bare name.
    fn of_name(name: &str) -> Option<Self> {
        let own = FOLDERS
            .map(|folder| own_folder(folder).join(format!("{name}.toml")))
            .into_iter()
            .find(|path| path.is_file());
        let built_in = || BUILT_IN.iter().find(|recipe| recipe.name() == name);
        own.map(Recipe::File)
            .or_else(|| built_in().copied().map(Recipe::BuiltIn))
    }

    /// All that there are in the working directory, in the order in which they are listed: those that are built in, or the
    /// files that go over them, and then other files of `configs/`.
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = BUILT_IN
            .iter()
            .filter_map(|recipe| Self::of_name(recipe.name()))
            .collect();
        for folder in FOLDERS {
            // A folder that is not there has none.
            for file in toml_files(&own_folder(folder)).unwrap_or_default() {
                let file = Recipe::File(file);
                // Of two files of one name, the first is what the name means.
                if !all.iter().any(|known| known.name() == file.name()) {
                    all.push(file);
                }
            }
        }
        all
    }

    /// Those that are built in below a folder of `configs/`, in the order of their names.
    pub fn built_in_below(folder: &str) -> Vec<Self> {
        let below = BUILT_IN
            .iter()
            .filter(|recipe| Path::new(recipe.path).starts_with(folder));
        below.copied().map(Recipe::BuiltIn).collect()
    }

    /// Its name; of a file that without its ending.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Recipe::BuiltIn(recipe) => recipe.name().into(),
            Recipe::File(path) => path
                .file_stem()
                .map_or_else(|| "run".into(), |stem| stem.to_string_lossy()),
        }
    }

    /// For a person: where the settings come from.
    pub fn describe(&self) -> String {
        match self {
            Recipe::BuiltIn(recipe) => recipe.shown(),
            Recipe::File(path) => path.display().to_string(),
        }
    }

    /// The path by which [`named`](Self::named) finds it again.
    pub fn path(&self) -> PathBuf {
        match self {
            Recipe::BuiltIn(recipe) => Path::new(FOLDER).join(recipe.path),
            Recipe::File(path) => path.clone(),
        }
    }

    /// What a config that nobody asked for is about, to go behind its description.
    pub fn meant_for(&self) -> &'static str {
        if *self == Self::QUICK_START {
            ": small generated tasks, a small random BERT"
        } else if *self == Self::RECOMMENDED {
            ": the recipe for your own data, with data.bad-rows = \"error\" unless you set it; --config takes another"
        } else {
            ""
        }
    }

    /// Its text, as it is.
    ///
    /// # Errors
    /// [`ConfigError`] of a file that cannot be read.
    pub fn text(&self) -> Result<String, ConfigError> {
        match self {
            Recipe::BuiltIn(recipe) => Ok(recipe.text.to_owned()),
            Recipe::File(path) => read_text(path, MOST_BYTES).map_err(|error| {
                let message = error.to_string();
                self.lacking().unwrap_or(ConfigError::Unreadable {
                    name: path.display().to_string(),
                    message,
                })
            }),
        }
    }

    /// Its text with what it extends written into it.
    ///
    /// # Errors
    /// [`ConfigError`] of a file that cannot be read or is not TOML.
    pub fn in_one_file(&self) -> Result<String, ConfigError> {
        match self {
            Recipe::BuiltIn(recipe) => built_in_in_one_file(recipe, BUILT_IN),
            Recipe::File(path) => match self.lacking() {
                Some(error) => Err(error),
                None => file_in_one_file(path),
            },
        }
    }

    /// Reads and checks it; `overrides` go over it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(&self, overrides: &[Override]) -> Result<Loaded, ConfigError> {
        match self {
            Recipe::BuiltIn(recipe) => Settings::load_built_in(recipe, BUILT_IN, overrides),
            Recipe::File(path) => match self.lacking() {
                Some(error) => Err(error),
                None => Settings::load_with(path, overrides),
            },
        }
    }

    /// As [`load`](Self::load), with `key.path=value` arguments, and without the warnings.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn settings(&self, sets: &[String]) -> Result<Settings, ConfigError> {
        let overrides: Vec<Override> = self::sets(sets).collect();
        Ok(self.load(&overrides)?.settings)
    }

    /// What is wrong with a bare name that is neither that of a file nor that of a recipe.
    fn lacking(&self) -> Option<ConfigError> {
        let Recipe::File(path) = self else {
            return None;
        };
        bare_name(path).filter(|_| !path.exists())?;
        Some(ConfigError::Unreadable {
            name: path.display().to_string(),
            message: "there is no such file, and no recipe of that name; bertram-cli config list names the recipes".into(),
        })
    }
}

/// The path as a name: one that names no folder and has no ending.
fn bare_name(path: &Path) -> Option<&str> {
    let mut parts = path.components();
    match (parts.next(), parts.next(), path.extension()) {
        (Some(Component::Normal(name)), None, None) => name.to_str(),
        _ => None,
    }
}

/// What is built in under the path that its file has in a checkout.
fn built_in_at(path: &Path) -> Option<Recipe> {
    let path = path.strip_prefix(".").unwrap_or(path);
    let path = path.strip_prefix(FOLDER).ok()?;
    let found = BUILT_IN
        .iter()
        .find(|recipe| Path::new(recipe.path) == path);
    found.copied().map(Recipe::BuiltIn)
}

/// A folder of recipes of the working directory, whether it is there or not.
fn own_folder(name: &str) -> PathBuf {
    match name {
        "" => PathBuf::from(FOLDER),
        name => Path::new(FOLDER).join(name),
    }
}

/// The files of a folder whose names end in `.toml`, in the order of their names.
///
/// # Errors
/// What the system says of a folder that cannot be read.
pub fn toml_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// `--set KEY=VALUE`, as often as it is given: the later goes over the earlier.
pub fn sets(sets: &[String]) -> impl Iterator<Item = Override> {
    sets.iter().map(|set| Override::set(set))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_recipes_are_told_from_paths() {
        for name in ["quickstart", "minilm-cpu", "e01"] {
            assert_eq!(bare_name(Path::new(name)), Some(name));
        }
        for path in ["", "a.toml", "a/b", "./a", "/a", ".."] {
            assert_eq!(bare_name(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn each_name_means_one_recipe() {
        for recipe in BUILT_IN {
            let of_name = BUILT_IN.iter().filter(|it| it.name() == recipe.name());
            assert_eq!(of_name.count(), 1, "{}", recipe.path);
            let named = Recipe::BuiltIn(*recipe);
            assert_eq!(built_in_at(&named.path()), Some(named));
        }
        assert_eq!(
            built_in_at(Path::new("./configs/experiments/e03.toml")).map(|it| it.describe()),
            Some("e03 (built in)".into())
        );
        assert_eq!(built_in_at(Path::new("experiments/e03.toml")), None);
    }

    #[test]
    fn recipes_are_whole_by_themselves() {
        for recipe in BUILT_IN {
            let named = Recipe::BuiltIn(*recipe);
            let settings = named.settings(&[]).expect("a config");
            let alone = named.in_one_file().expect("a text");
            let alone = Settings::from_text("alone", &alone, &[]).expect("a config");
            assert_eq!(alone, settings, "{}", recipe.path);
        }
    }
}
