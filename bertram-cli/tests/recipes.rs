//! Recipes: configs that are built in, and the files of a folder that go over them.

mod common;

use std::path::{Path, PathBuf};

use common::{copy_folder, refused, run_in, said, stderr};

/// The files of `configs/`, which users and the docs name.
fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

/// Paths and texts of all files below a folder, in order.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            let name = path.strip_prefix(folder).expect("below it").to_owned();
            found.push((name, text));
        }
    }
    found.sort();
    found
}

#[test]
fn the_crate_has_a_copy_of_configs() {
    let copy = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    assert_eq!(
        files(&configs()),
        files(&copy),
        "take the change over: rm -r bertram-cli/recipes && cp -r configs bertram-cli/recipes"
    );
}

#[test]
fn every_recipe_is_listed_and_shown_where_there_are_no_files() {
    let dir = tempfile::tempdir().expect("temp dir");
    let list = said(dir.path(), &["config", "list"]);
    insta::assert_snapshot!(list);
    let files = files(&configs());
    assert_eq!(list.lines().count(), files.len());
    for (path, text) in files {
        let name = path.file_stem().and_then(|it| it.to_str()).expect("a name");
        assert!(
            list.lines()
                .any(|line| line.starts_with(&format!("{name} "))),
            "{name}"
        );
        assert_eq!(said(dir.path(), &["config", "show", name]), text);
    }
}

#[test]
fn experiments_are_listed_and_planned_where_there_are_no_files() {
    let dir = tempfile::tempdir().expect("temp dir");
    let list = said(dir.path(), &["experiments", "list"]);
    assert!(list.contains("e01") && list.contains("e14"), "{list}");
    assert!(
        list.contains("built in") && !list.contains(" base "),
        "{list}"
    );
    let emitted = said(
        dir.path(),
        &["experiments", "run", "--only", "e04,e11", "--emit", "slurm"],
    );
    assert!(emitted.contains("sbatch"), "{emitted}");
    let error = refused(
        dir.path(),
        &["experiments", "list", "--configs", "elsewhere"],
    );
    assert!(
        error.contains("elsewhere") && error.contains("--configs"),
        "{error}"
    );
    // A folder of the usual name goes over all that is built in.
    std::fs::create_dir_all(dir.path().join("configs/experiments")).expect("folder");
    std::fs::write(
        dir.path().join("configs/experiments/mine.toml"),
        "[experiment]\nid = \"mine\"\ntitle = \"a thing of mine\"\n",
    )
    .expect("written");
    let list = said(dir.path(), &["experiments", "list"]);
    assert!(
        list.contains("a thing of mine") && !list.contains("e01"),
        "{list}"
    );
}

#[test]
fn an_experiment_runs_where_there_are_no_files() {
    let dir = tempfile::tempdir().expect("temp dir");
    // No model and no training: constant answers, in a config that extends another.
    let run = [
        "experiments",
        "run",
        "--only",
        "e01",
        "--out",
        "runs",
        "--set",
        "data.demo.dev=20",
    ];
    let text = said(dir.path(), &run);
    assert!(text.contains("e01"), "{text}");
    assert!(dir.path().join("runs/e01-seed11711/summary.json").is_file());
    let again = run_in(dir.path(), &run);
    assert!(
        stderr(&again).contains("1 of 1 runs are done already"),
        "{}",
        stderr(&again)
    );
}

#[test]
fn names_and_paths_of_a_checkout_mean_recipes_everywhere() {
    let dir = tempfile::tempdir().expect("temp dir");
    for config in [
        "minilm-cpu",
        "configs/minilm-cpu.toml",
        "./configs/experiments/e11.toml",
        "e11",
        "ablation-demo",
    ] {
        let text = said(dir.path(), &["config", "validate", config]);
        assert!(text.contains("ok"), "{text}");
    }
    let error = refused(dir.path(), &["train", "--config", "minilm"]);
    assert!(
        error.contains(
            "minilm: there is no such file, and no recipe of that name; bertram-cli config list"
        ),
        "{error}"
    );
    // Other paths are those of files, as ever.
    for path in [
        "minilm-cpu.toml",
        "experiments/e11.toml",
        "configs/e11.toml",
    ] {
        let error = refused(dir.path(), &["train", "--config", path]);
        assert!(error.contains("No such file"), "{error}");
    }
}

#[test]
fn files_of_a_folder_go_over_what_is_built_in() {
    let dir = tempfile::tempdir().expect("temp dir");
    copy_folder(&configs(), &dir.path().join("configs"));
    let own = "# run it\n#\n# Mine. Not theirs\n\n[tras]\n";
    std::fs::write(dir.path().join("configs/minilm-cpu.toml"), own).expect("written");
    std::fs::write(dir.path().join("configs/another.toml"), own).expect("written");
    assert_eq!(said(dir.path(), &["config", "show", "minilm-cpu"]), own);
    let list = said(dir.path(), &["config", "list"]);
    for name in ["minilm-cpu", "another"] {
        let line = list
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        let file = format!("Mine (configs/{name}.toml)");
        assert!(line.is_some_and(|line| line.ends_with(&file)), "{list}");
        let error = refused(dir.path(), &["config", "validate", name]);
        assert!(error.contains(&format!("configs/{name}.toml:5")), "{error}");
    }
    // A file in the working directory is nearer than a folder.
    std::fs::write(dir.path().join("another"), "[train]\nepochs = 1\n").expect("written");
    let text = said(dir.path(), &["config", "validate", "another"]);
    assert!(text.contains("another: ok"), "{text}");
    // What is built in is still there without a config.
    let error = refused(dir.path(), &["train", "--set", "train.epoch=1"]);
    assert!(error.contains("quickstart (built in)"), "{error}");
}
