//! Tests of reading, checking and writing configs.

use std::path::{Path, PathBuf};

use bertram_core::head::HeadKind;
use bertram_core::loss::LossKind;
use bertram_core::task::TaskId;
use proptest::prelude::*;

use super::{
    ClassWeights, ConfigError, LabelShares, Limit, Loaded, LossSettings, Override, PaperSplit,
    Settings, loss,
};
use crate::regulariser::{RegulariserSettings, SmartConfig};
use crate::schedule::ScheduleKind;
use burn::backend::{Autodiff, NdArray};

fn parse(text: &str, sets: &[&str]) -> Result<Settings, ConfigError> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Settings::from_text("x.toml", text, &sets)
}

/// Writes a file in a folder, and the folders above it.
fn write_in(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
    std::fs::write(&path, text).expect("write");
    path
}

#[test]
fn a_config_says_only_how_it_differs_from_what_it_extends() {
    let dir = tempfile::tempdir().expect("temp dir");
    let write = |name: &str, text: &str| write_in(dir.path(), name, text);
    write(
        "base.toml",
        "[train]\nepochs = 3\nseed = 5\n[tasks.sst]\nlimit = 10\n[aggregator]\nkind = \"sum\"\n",
    );
    write(
        "a/middle.toml",
        "extends = \"../base.toml\"\n[train]\nseed = 6\nwarmup = 2\n",
    );
    let top = write(
        "a/top.toml",
        "extends = \"middle.toml\"\n[train]\nseed = 7\nwarmup = 0.5\n[tasks.sst]\nlimit = \"all\"\n",
    );
    let settings = Settings::load(&top, &[]).expect("valid");
    assert_eq!((settings.train.epochs, settings.train.seed), (3, 7));
    assert_eq!(settings.tasks.len(), 1);
    assert_eq!(settings.tasks[0].limit, Some(Limit::All));
    assert_eq!(
        parse(&settings.to_toml(), &[]).expect("reads back"),
        settings
    );

    let message = |name: &str, text: &str| {
        let error = Settings::load(&write(name, text), &[]).expect_err("wrong");
        let folder = format!("{}/", dir.path().display());
        error.to_string().replace(&folder, "")
    };
    assert_eq!(
        message(
            "b.toml",
            "extends = \"a/middle.toml\"\n[train]\nepochs = \"x\"\n"
        ),
        "2 problems in b.toml\n  b.toml:3: train.epochs: \"x\" is not a whole number of at least 0\n  a/middle.toml:4: train.warmup: 2 is not a share from 0 to 1"
    );
    assert_eq!(
        message("c.toml", "# c\nextends = \"d.toml\"\n"),
        "c.toml:2: extends: cannot read d.toml: No such file or directory (os error 2)"
    );
    assert_eq!(
        message("e.toml", "extends = \"e.toml\"\n"),
        "e.toml:1: extends: e.toml extends itself in the end"
    );
    assert_eq!(
        message("f.toml", "extends = 3\n"),
        "f.toml:1: extends: is not the name of a file"
    );
    let error = parse("extends = \"base.toml\"\n", &[]).expect_err("no file");
    assert_eq!(error.to_string(), "x.toml:1: extends: works in files only");
}

#[test]
fn set_model_random_takes_the_place_of_a_pretrained_model() {
    let text = "[model]\npath = \"a-bert\"\n";
    let settings = parse(text, &["model.random.layers=1"]).expect("valid");
    assert_eq!(settings.model.path, None);
    assert_eq!(settings.model.random.map(|random| random.layers), Some(1));
}

#[test]
fn a_baseline_has_answers_that_exist() {
    let settings = parse("[baseline]\nclass = 2\nbinary = 1\n", &[]).expect("valid");
    assert_eq!(
        settings.baseline.map(|it| (it.class, it.binary)),
        Some((2, 1))
    );
    assert_eq!(
        parse(&settings.to_toml(), &[]).expect("reads back"),
        settings
    );
    only_problem(
        "[baseline]\nclass = 5\n",
        &[],
        "x.toml:2: baseline.class: 5 is not a class: they are 0 to 4",
    );
}

#[test]
fn regularisers_are_on_where_their_section_is() {
    let settings = parse("", &[]).expect("defaults");
    assert_eq!(settings.regulariser, RegulariserSettings::default());
    let text =
        "[regulariser.smart]\n[regulariser.bregman]\nbeta = 0\n[regulariser.r-drop]\nalpha = 0\n";
    let settings = parse(text, &[]).expect("valid");
    assert_eq!(settings.regulariser.smart, Some(SmartConfig::default()));
    let bregman = settings.regulariser.bregman.clone().expect("on");
    assert_eq!((bregman.beta, bregman.late_beta), (0.0, 0.0));
    assert_eq!(
        parse(&settings.to_toml(), &[]).expect("reads back"),
        settings
    );
    let of = |task| settings.regulariser.of::<Autodiff<NdArray>>(task).len();
    assert_eq!(of(TaskId::SST), 1, "SMART; R-Drop's weight is 0");
    assert_eq!(of(TaskId::STS), 0, "SMART is on sst by default");

    let mt_dnn = "[regulariser.smart]\nvariant = \"mt-dnn\"\ntasks = [\"sts\", \"para\"]\n";
    let settings = parse(mt_dnn, &[]).expect("valid");
    assert_eq!(
        parse(&settings.to_toml(), &[]).expect("reads back"),
        settings
    );
    let smart = settings.regulariser.smart.expect("on");
    assert_eq!(
        (smart.epsilon, smart.tasks),
        (None, vec![TaskId::STS, TaskId::PARA])
    );

    only_problem(
        "[tasks.sst]\n[regulariser.smart]\ntasks = [\"sts\"]\n",
        &[],
        "x.toml:3: regulariser.smart.tasks: sts is not trained: there is no [tasks.sts]",
    );
    only_problem(
        "[regulariser.smart]\nvariant = \"mt-dnn\"\nepsilon = 1e-5\n",
        &[],
        "x.toml:3: regulariser.smart.epsilon: means nothing with variant = \"mt-dnn\", which ends near norm 1",
    );
    only_problem(
        "",
        &["regulariser.smart.tasks=sst"],
        "--set regulariser.smart.tasks=sst: regulariser.smart.tasks: \"sst\" is not a list: write [\"NAME\", ...]",
    );
}

#[test]
fn what_a_schedule_does_not_use_is_a_problem() {
    for (text, expected) in [
        (
            "[aggregator]\nkind = \"pcgrad\"\n",
            "x.toml:2: aggregator.kind: has no gradients to merge: set train.schedule = \"combined\", or train.epoch-end-surgery = true",
        ),
        (
            "[train]\nschedule = \"combined\"\norder = \"rotating\"\n",
            "x.toml:3: train.order: means something only with train.schedule = \"sequential\"",
        ),
        (
            "[train]\ntemperature = 2\n",
            "x.toml:2: train.temperature: means something only with train.schedule = \"temperature\"",
        ),
    ] {
        only_problem(text, &[], expected);
    }
    for text in [
        "[aggregator]\nkind = \"pcgrad\"\n[train]\nepoch-end-surgery = true\n",
        "[train]\nschedule = \"temperature\"\ntemperature = 2\n",
        "[train]\nschedule = \"combined\"\ncombined-stop = \"draw\"\n",
    ] {
        let settings = parse(text, &[]).expect("valid");
        assert_eq!(
            parse(&settings.to_toml(), &[]).expect("reads back"),
            settings
        );
    }
}

/// The problems of a config that has some, a line each.
fn problems(text: &str, sets: &[&str]) -> String {
    parse(text, sets).expect_err("problems").to_string()
}

/// Asserts that a config has one problem, which reads `expected`.
fn only_problem(text: &str, sets: &[&str], expected: &str) {
    let error = problems(text, sets);
    let mut lines = error.lines();
    assert_eq!(lines.next(), Some("1 problem in x.toml"), "{error}");
    assert_eq!(lines.next().map(str::trim), Some(expected));
    assert_eq!(lines.next(), None, "{error}");
}

#[test]
fn an_empty_file_is_all_defaults_and_resolved_settings_read_back() {
    let settings = parse("", &[]).expect("defaults");
    assert_eq!(settings.tasks.len(), 3);
    assert_eq!(settings.train.seed, 11711);
    let resolved = settings.to_toml();
    for key in [
        "precision = \"f32\"",
        "kernels = \"fused\"",
        "kind = \"adamw\"",
        "eps = 0.000001",
    ] {
        assert!(resolved.contains(key), "no {key:?} in\n{resolved}");
    }
    assert_eq!(parse(&resolved, &[]).expect("resolved"), settings);
}

#[test]
fn every_config_of_the_repository_is_valid_and_reads_back() {
    fn check(dir: &Path, checked: &mut usize) {
        for entry in std::fs::read_dir(dir).expect("folder of configs") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                check(&path, checked);
                continue;
            }
            assert_eq!(path.extension().and_then(|it| it.to_str()), Some("toml"));
            let settings = Settings::load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
            let again = parse(&settings.to_toml(), &[]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(again, settings, "{}", path.display());
            // A reader copies the first line into a shell.
            let text = std::fs::read_to_string(&path).expect("text");
            let first = text.lines().next().unwrap_or_default();
            let shown = path
                .strip_prefix(root())
                .expect("inside")
                .display()
                .to_string();
            assert!(
                first.starts_with("# bertram-cli ") && first.contains(&shown),
                "{shown}: line 1 is not the command that runs it: {first}"
            );
            *checked += 1;
        }
    }
    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }
    let mut checked = 0;
    check(&root().join("configs"), &mut checked);
    assert!(checked >= 2, "{checked} configs");
}

#[test]
fn every_problem_at_once_with_its_line() {
    let text = "\
[model]
path = \"m\"
poling = \"cls\"
[model.random]
layers = 2
[tasks.sst]
head = \"cosine\"
[tasks.sentiment]
head = \"linear\"
[train]
epochs = \"ten\"
warmup = 1.5
lr-schedule = \"quadratic\"
";
    let error = problems(text, &["train.batch-size=0", "nonsense"]);
    for part in [
        "x.toml:2: model.path: stands beside [model.random]",
        "x.toml:3: model.poling: unknown key; did you mean model.pooling?",
        "x.toml:7: tasks.sst.head: sst takes linear",
        "x.toml:8: tasks.sentiment: is a task of your own (known by name are sst, para, sts, ",
        "x.toml:11: train.epochs: \"ten\" is not a whole number",
        "x.toml:12: train.warmup: 1.5 is not a share",
        "x.toml:13: train.lr-schedule: unknown variant `quadratic`, expected one of",
        "--set train.batch-size=0: train.batch-size: 0 is not",
        "--set nonsense: nonsense: write --set key.path=value",
    ] {
        assert!(error.contains(part), "no {part:?} in\n{error}");
    }
    assert!(error.starts_with("9 problems in x.toml"), "{error}");
}

#[test]
fn unknown_keys_say_what_is_known() {
    only_problem(
        "[trian]\nepochs = 3\nseed = 1\n",
        &[],
        "x.toml:1: trian: unknown key; did you mean train?",
    );
    only_problem(
        "[model]\nlearning-rate = 1.0\n",
        &[],
        "x.toml:2: model.learning-rate: unknown key; did you mean train.learning-rate?",
    );
    only_problem(
        "[optimizer]\nnesterov = true\n",
        &[],
        "x.toml:2: optimizer.nesterov: unknown key; [optimizer] has kind, beta1, beta2, eps, weight-decay, weight-decay-on",
    );
    // A new section must not break this.
    let error = problems("verbose = true\n", &[]);
    let expected = "x.toml:1: verbose: unknown key; the sections are model, data, tasks, train, ";
    assert!(error.contains(expected), "{error}");
    only_problem(
        "[tasks.para]\n[tasks.para.columns]\ntexta = \"q\"\n",
        &[],
        "x.toml:3: tasks.para.columns.texta: unknown key; did you mean tasks.para.columns.text-a?",
    );
}

#[test]
fn sections_and_values_are_not_mixed_up() {
    only_problem(
        "train = 3\n",
        &[],
        "x.toml:1: train: is a section: write [train], or train.NAME = VALUE",
    );
    only_problem(
        "[train.epochs]\nfirst = 1\nlast = 2\n",
        &[],
        "x.toml:1: train.epochs: is a value, and no section",
    );
    only_problem(
        "",
        &["tasks=sst"],
        "--set tasks=sst: tasks: is a section: write [tasks], or tasks.NAME = VALUE",
    );
    only_problem(
        "[[tasks]]\n",
        &[],
        "x.toml:1: tasks: a list of tables means nothing here; write [section]",
    );
}

#[test]
fn combinations_that_cannot_be() {
    for (text, expected) in [
        (
            "[tasks.sst]\nloss = \"bce\"\n",
            "x.toml:2: tasks.sst.loss: sst takes cross-entropy, focal, ordinal",
        ),
        (
            "[tasks.para]\nloss = \"mse\"\n",
            "x.toml:2: tasks.para.loss: para takes bce, cosine-embedding, focal",
        ),
        (
            "[tasks.sts]\nhead = \"linear\"\n",
            "x.toml:2: tasks.sts.head: sts takes cosine, concat, cross-encoder",
        ),
        (
            "[tasks.sts]\nhead = \"concat\"\nloss = \"cosine-embedding\"\n",
            "x.toml:3: tasks.sts.loss: cosine-embedding is a loss on cosines: it needs head = \"cosine\"",
        ),
        (
            "[tasks.para]\nhead = \"concat\"\nthreshold = \"calibrated\"\n",
            "x.toml:3: tasks.para.threshold: means something only with head = \"cosine\" and loss = \"bce\" or \"focal\"",
        ),
        (
            "[model.random]\nhidden-size = 100\nheads = 3\n",
            "x.toml:3: model.random.heads: 3 heads do not divide hidden-size = 100",
        ),
        (
            "[model.random]\nhidden-size = 129\n",
            "x.toml:2: model.random.heads: 2 heads do not divide hidden-size = 129",
        ),
        (
            "[train]\n[data]\nmax-length = 200\n",
            "x.toml:3: data.max-length: 200 is more than model.random.max-positions = 128",
        ),
        (
            "[train]\n[model.random]\nmax-positions = 64\n",
            "x.toml:3: data.max-length: 128 is more than model.random.max-positions = 64",
        ),
    ] {
        only_problem(text, &[], expected);
    }
}

#[test]
fn what_a_loss_is_told() {
    let text = "\
[tasks.sst]
label-smoothing = 0.1
class-weights = [1, 2.5, 1, 1, 3]
[tasks.para]
loss = \"focal\"
focal-gamma = 1
class-weights = \"inverse-frequency\"
threshold = \"as-published\"
[tasks.sts]
loss = \"angle\"
scale = 10
";
    let settings = parse(text, &[]).expect("valid");
    let options = |task: usize| settings.tasks[task].model_config().loss_options;
    assert_eq!(options(0).label_smoothing, 0.1);
    assert_eq!(options(0).class_weights, [1.0, 2.5, 1.0, 1.0, 3.0]);
    assert_eq!(options(1).focal_gamma, 1.0);
    assert_eq!(options(2).scale, 10.0);
    let para = &settings.tasks[1].loss_settings;
    assert_eq!(para.class_weights, Some(ClassWeights::InverseFrequency));
    assert!(options(1).class_weights.is_empty(), "not known yet");
    let resolved = settings.to_toml();
    assert_eq!(
        parse(&resolved, &[]).expect("reads back"),
        settings,
        "{resolved}"
    );
    assert_eq!(warnings(text, "", &[]), [""; 0]);
    // Where nothing is said nothing is written: older versions read what they know.
    let plain = parse("", &[]).expect("valid").to_toml();
    for key in loss::KEYS {
        assert!(!plain.contains(&format!("\n{key} =")), "{key} in {plain}");
    }
    // What was read from a model is what was said.
    let said = &settings.tasks[0].loss_settings;
    assert_eq!(&LossSettings::of(&said.options()), said);
    assert_eq!(
        warnings(
            "[tasks.sst]\ntrain-on = false\nlabel-smoothing = 0.1\n[tasks.sts]\n",
            "",
            &[]
        ),
        [
            "tasks.sst.label-smoothing (x.toml:3) has no effect: tasks.sst.train-on (x.toml:2) leaves no use for it"
        ]
    );
}

#[test]
fn what_a_loss_may_not_be_told() {
    for (text, expected) in [
        (
            "[tasks.sst]\nlabel-smoothing = 1\n",
            "x.toml:2: tasks.sst.label-smoothing: 1 is not a number from 0 up to, but not including, 1",
        ),
        (
            "[tasks.sts]\nloss = \"bce\"\nlabel-smoothing = 0.1\n",
            "x.toml:3: tasks.sts.label-smoothing: means something only with loss = \"cross-entropy\" or \"bce\", and not for scores",
        ),
        (
            "[tasks.sst]\nclass-weights = [1, 2]\n",
            "x.toml:2: tasks.sst.class-weights: lists 2 weights for 5 labels (very negative, negative, neutral, positive, very positive): there must be one for each, in this order",
        ),
        (
            "[tasks.sst]\nclass-weights = [1, 1, 1, 1, 0]\n",
            "x.toml:2: tasks.sst.class-weights: 0 is no weight: they are numbers above 0, up to 1e9",
        ),
        (
            "[tasks.sst]\nclass-weights = \"balanced\"\n",
            "x.toml:2: tasks.sst.class-weights: \"balanced\" is neither a list of weights nor \"inverse-frequency\"",
        ),
        (
            "[tasks.sts]\nclass-weights = \"inverse-frequency\"\n",
            "x.toml:2: tasks.sts.class-weights: means something only where a row has one label of several",
        ),
        (
            "[tasks.para]\nloss = \"cosine-embedding\"\nclass-weights = [1, 2]\n",
            "x.toml:3: tasks.para.class-weights: means something only where",
        ),
        (
            "[tasks.sst]\nfocal-gamma = 2\n",
            "x.toml:2: tasks.sst.focal-gamma: means something only with loss = \"focal\"",
        ),
        (
            "[tasks.sst]\nloss = \"focal\"\nfocal-gamma = -1\n",
            "x.toml:3: tasks.sst.focal-gamma: -1 is not a number of at least 0",
        ),
        (
            "[tasks.sts]\nscale = 10\n",
            "x.toml:2: tasks.sts.scale: means something only with loss = \"cosent\" or \"angle\"",
        ),
        (
            "[tasks.sts]\nhead = \"concat\"\nloss = \"cosent\"\n",
            "x.toml:3: tasks.sts.loss: cosent is a loss on cosines: it needs head = \"cosine\"",
        ),
        (
            "[tasks.a]\ninputs = \"single\"\nlabels = \"auto\"\ntrain = \"a.csv\"\nloss = \"ordinal\"\n",
            "x.toml:5: tasks.a.loss: ordinal goes by the order of the labels: list them",
        ),
        (
            "[tasks.a]\ninputs = \"single\"\nlabels = \"auto\"\ntrain = \"a.csv\"\nclass-weights = [1, 2]\n",
            "x.toml:5: tasks.a.class-weights: lists weights of labels that labels = \"auto\" does not list",
        ),
    ] {
        let error = problems(text, &[]);
        assert!(error.starts_with("1 problem in"), "{error}");
        assert!(error.contains(expected), "no {expected:?} in\n{error}");
    }
}

#[test]
fn what_is_no_toml_names_its_line() {
    let error = problems("[train]\nepochs = 3\nseed\n", &[]);
    assert!(error.starts_with("x.toml:3: not TOML: "), "{error}");
    assert!(!error.contains('\n'), "{error}");
    let twice = problems("[train]\nseed = 1\nseed = 2\n", &[]);
    assert!(twice.starts_with("x.toml:3: not TOML: "), "{twice}");
}

fn here(path: &str) -> PathBuf {
    std::path::absolute(path).expect("there is a working directory")
}

/// The warnings of a config file and arguments, with the file's folder left out.
fn warnings(text: &str, base: &str, sets: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().expect("temp dir");
    std::fs::write(dir.path().join("base.toml"), base).expect("write");
    let path = dir.path().join("x.toml");
    std::fs::write(&path, text).expect("write");
    let sets: Vec<Override> = sets.iter().map(|set| Override::set(set)).collect();
    let loaded = Settings::load_with(&path, &sets).unwrap_or_else(|error| panic!("{error}"));
    let folder = format!("{}/", dir.path().display());
    let warnings = loaded.warnings.iter();
    warnings.map(|it| it.replace(&folder, "")).collect()
}

#[test]
fn what_has_no_effect_is_said_where_it_was_not_meant() {
    let sst = "[tasks.sst]\nlimit = 5\n";
    let both = "[tasks.sst]\nlimit = 5\n[tasks.sts]\n";
    for (text, base, set, expected) in [
        (
            sst,
            "",
            "data.limit=9",
            "data.limit (--set data.limit=9) has no effect: tasks.sst.limit goes over it",
        ),
        (
            both,
            "",
            "data.limit=9",
            "data.limit (--set data.limit=9) does not reach every task: tasks.sst.limit goes over it",
        ),
        (
            "[data]\nlimit = 9\n[tasks.sst]\nlimit = 5\n",
            "",
            "",
            "data.limit (x.toml:2) has no effect: tasks.sst.limit goes over it",
        ),
        // A file that says how most tasks are and how one is different; a file that takes its base's back; an argument
        // for one task: all meant.
        (
            "[data]\nlimit = 9\n[tasks.sst]\nlimit = 5\n[tasks.sts]\n",
            "",
            "",
            "",
        ),
        (
            "extends = \"base.toml\"\n[tasks.sst]\nlimit = 5\n",
            "[data]\nlimit = 9\n",
            "",
            "",
        ),
        (
            "[data]\nlimit = 9\n[tasks.sst]\n",
            "",
            "tasks.sst.limit=3",
            "",
        ),
        // Nearer than what goes over it.
        (
            "extends = \"base.toml\"\n[model]\npooling = \"cls\"\n",
            "[tasks.sst]\npooling = \"mean\"\n",
            "",
            "model.pooling (x.toml:3) reaches no task: tasks.sst.pooling goes over it",
        ),
        (
            "[train]\nschedule = \"sequential\"\ncombined-stop = \"cycle\"\n",
            "",
            "",
            "train.combined-stop (x.toml:3) has no effect: train.schedule (x.toml:2) leaves no use for it",
        ),
        (
            "[train]\nschedule = \"combined\"\ncombined-stop = \"cycle\"\n",
            "",
            "train.schedule=additive",
            "",
        ),
        (
            "[train]\nschedule = \"combined\"\ncombined-stop = \"cycle\"\n",
            "",
            "train.schedule=sequential",
            "",
        ),
        ("[data.demo]\nsst = 9\n", "", "data.dir=somewhere", ""),
        (
            "[data]\ndir = \"somewhere\"\n",
            "",
            "data.demo.sst=9",
            "data.demo.sst (--set data.demo.sst=9) has no effect: data.dir (x.toml:2) leaves no use for it",
        ),
    ] {
        let sets: Vec<&str> = [set].into_iter().filter(|set| !set.is_empty()).collect();
        let expected: Vec<&str> = [expected].into_iter().filter(|it| !it.is_empty()).collect();
        assert_eq!(warnings(text, base, &sets), expected, "{text} {set}");
    }
    let resolved = parse("[train]\ncombined-stop = \"cycle\"\n", &[]).expect("valid");
    assert_eq!(warnings(&resolved.to_toml(), "", &[]), [""; 0]);
}

#[test]
fn a_path_is_relative_to_the_file_that_says_it() {
    let dir = tempfile::tempdir().expect("temp dir");
    let write = |name: &str, text: &str| write_in(dir.path(), name, text);
    write(
        "base/a.toml",
        "[data]\ndir = \"data\"\n[tasks.sst]\ntrain = \"t.csv\"\n",
    );
    write("model/config.json", "{}");
    let top = write(
        "b.toml",
        "extends = \"base/a.toml\"\n[model]\npath = \"model\"\n[tasks.sst]\ndev = \"d.csv\"\n",
    );
    let settings = Settings::load(&top, &["tasks.sst.test=e.csv".into()]).expect("valid");
    let at = |path: &str| Some(dir.path().join(path));
    let sst = &settings.tasks[0];
    assert_eq!(settings.data.dir, at("base/data"));
    assert_eq!((&sst.train, &sst.dev), (&at("base/t.csv"), &at("d.csv")));
    assert_eq!(sst.test, Some(here("e.csv")));
    assert_eq!(settings.model.path.map(PathBuf::from), at("model"));
    // A hub id is no folder, and one that looks like a path stays what it is.
    let settings = parse("[model]\npath = \"org/name\"\n", &[]).expect("valid");
    assert_eq!(settings.model.path.as_deref(), Some("org/name"));

    // What is there only from the working directory was right until 0.1.0.
    let old = write("c.toml", "[data]\ndir = \"src\"\n");
    let loaded = Settings::load_with(&old, &[]).expect("valid");
    assert_eq!(loaded.settings.data.dir, Some(here("src")));
    assert!(
        loaded.warnings[0].contains("data.dir"),
        "{:?}",
        loaded.warnings
    );
}

#[test]
fn set_goes_over_the_file_and_takes_bare_words() {
    let settings = parse(
        "[train]\nepochs = 3\n",
        &[
            "train.epochs=1",
            "train.schedule=combined",
            "data.dir=some/where",
        ],
    )
    .expect("valid");
    assert_eq!(settings.train.epochs, 1);
    assert_eq!(settings.train.schedule, ScheduleKind::Combined);
    assert_eq!(settings.data.dir, Some(here("some/where")));
}

#[test]
fn set_takes_strings_that_look_like_numbers_and_tables_too() {
    let settings = parse(
        "",
        &[
            "model.path=m",
            "model.revision=12e4567",
            "data.dir=2026-11-23",
            "tasks.sts.columns={ label = \"score\" }",
        ],
    )
    .expect("valid");
    assert_eq!(settings.model.revision, "12e4567");
    assert_eq!(settings.data.dir, Some(here("2026-11-23")));
    assert_eq!(settings.tasks[0].columns.label.as_deref(), Some("score"));
    only_problem("", &["=3"], "--set =3: =3: write --set key.path=value");
}

#[test]
fn set_model_path_takes_the_place_of_a_random_model() {
    let settings = parse("[model.random]\nlayers = 3\n", &["model.path=bert"]).expect("valid");
    assert_eq!(settings.model.path.as_deref(), Some("bert"));
    assert_eq!(settings.model.random, None);
}

#[test]
fn the_tables_present_are_the_tasks_trained() {
    let settings = parse("[tasks.sts]\n[tasks.sst]\n", &[]).expect("valid");
    let tasks: Vec<TaskId> = settings.tasks.iter().map(|task| task.task).collect();
    assert_eq!(tasks, [TaskId::SST, TaskId::STS]);
}

/// One of `values`, or the key is not said.
fn key(name: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::option::of(proptest::sample::select(values))
        .prop_map(move |value| value.map_or(String::new(), |value| format!("{name} = {value}\n")))
}

fn config() -> impl Strategy<Value = String> {
    let model = (
        key("path", &["\"org/name\"", "'C:\\models\\x'"]),
        key("pooling", &["\"cls\"", "\"mean\"", "\"pooler\""]),
        key("head-dropout", &["0", "0.3", "1e-3"]),
        key("freeze", &["true", "false"]),
        key("dropout", &["{ hidden = 0.0, attention = 0.2 }", "{}"]),
    );
    let data = (
        key("dir", &["\"a b/ü\""]),
        key("format", &["\"glue\"", "\"json-lines\""]),
        key("limit", &["1", "1000000000"]),
        key("limit-draw", &["\"fresh\"", "\"fixed\""]),
        key("demo", &["{ seed = 9223372036854775807, dev = 3 }"]),
    );
    let sts = (
        key("head", &["\"cosine\"", "\"cross-encoder\""]),
        key("loss", &["\"mse\"", "\"bce\""]),
        key("weight", &["0.1", "3"]),
        key("dev", &["\"dev \\\"1\\\".tsv\""]),
        key("columns", &["{ text-a = \"q\", label = \"gold 1\" }"]),
    );
    let train = (
        key("learning-rate", &["1e-5", "3.0000000000000004e-5"]),
        key("head-learning-rate", &["1e-3"]),
        key("lr-schedule", &["\"cosine\""]),
        key("warmup", &["0", "0.1", "1"]),
        key("schedule", &["\"combined\""]),
    );
    (model, data, sts, any::<bool>(), train).prop_map(|(model, data, sts, para, train)| {
        let para = if para {
            "[tasks.para]\nthreshold = \"as-published\"\n"
        } else {
            ""
        };
        format!(
            "[model]\n{}{}{}{}{}[data]\n{}{}{}{}{}[tasks.sts]\n{}{}{}{}{}{para}[train]\n{}{}{}{}{}",
            model.0,
            model.1,
            model.2,
            model.3,
            model.4,
            data.0,
            data.1,
            data.2,
            data.3,
            data.4,
            sts.0,
            sts.1,
            sts.2,
            sts.3,
            sts.4,
            train.0,
            train.1,
            train.2,
            train.3,
            train.4,
        )
    })
}

proptest! {
    #[test]
    fn resolved_settings_read_back(text in config()) {
        let settings = parse(&text, &[]).expect("valid");
        prop_assert_eq!(parse(&settings.to_toml(), &[]).expect("resolved"), settings);
    }
}

#[test]
fn an_experiment_reads_back_and_is_absent_where_it_is_not_said() {
    for text in ["", "[experiment]\n", "[experiment.levels]\n"] {
        let settings = parse(text, &[]).expect("no experiment");
        assert_eq!(settings.experiment, None, "{text:?}");
        assert!(!settings.to_toml().contains("experiment"), "{text:?}");
    }
    let text = "\
[experiment]
id = \"e06\"
title = \"e04 + SMART on sentiment\"
paper = { sst = 0.463, para = 0.534, sts = -0.548, overall = 0.590 }
levels = { smart = \"on\", r-drop = \"off\" }
";
    let settings = parse(text, &["experiment.paper.split=\"test\""]).expect("experiment");
    let experiment = settings.experiment.as_ref().expect("said");
    assert_eq!(experiment.id.as_deref(), Some("e06"));
    assert_eq!(experiment.levels["r-drop"], "off");
    let paper = experiment.paper.expect("paper");
    assert_eq!((paper.sts, paper.split), (Some(-0.548), PaperSplit::Test));
    let again = parse(&settings.to_toml(), &[]).expect("resolved");
    assert_eq!(again, settings);
}

#[test]
fn experiments_know_their_factors_and_scores() {
    only_problem(
        "[experiment.levels]\nsmrat = \"on\"\n",
        &[],
        "x.toml:2: experiment.levels.smrat: unknown key; did you mean experiment.levels.smart?",
    );
    only_problem(
        "[experiment.paper]\nsst = 46.3\n",
        &[],
        "x.toml:2: experiment.paper.sst: 46.3 is not a score from -1 to 1",
    );
}

#[test]
fn a_table_on_the_command_line_takes_the_place_of_its_section() {
    let text =
        "[experiment]\nid = \"e11\"\npaper = { sst = 0.5 }\n[experiment.levels]\nsmart = \"on\"\n";
    let settings = parse(text, &["experiment={}", "experiment.id=\"cell\""]).expect("experiment");
    let experiment = settings.experiment.expect("said");
    assert_eq!(experiment.id.as_deref(), Some("cell"));
    assert_eq!((experiment.paper, experiment.levels.len()), (None, 0));
}

#[test]
fn half_precision_needs_a_perturbation_that_it_can_hold() {
    let smart = "[train]\nprecision = \"bf16\"\n[regulariser.smart]\n";
    only_problem(
        smart,
        &[],
        "x.toml:2: train.precision: bf16 has steps of 7.8e-3 around 1, in which SMART's perturbation of at most 1.0e-5 is lost: use f32, larger values of both epsilon and eta in [regulariser.smart], or variant = \"mt-dnn\"",
    );
    let epsilon = "regulariser.smart.epsilon=0.1";
    for too_small in ["regulariser.smart.eta=1e-5", "regulariser.smart.norm=l2"] {
        let message = parse(smart, &[epsilon, too_small]).expect_err(too_small);
        assert!(message.to_string().contains("is lost"), "{message}");
    }
    for sets in [
        &[epsilon][..],
        &["regulariser.smart.variant=mt-dnn"],
        &["regulariser.smart.lambda=0"],
        &["train.precision=f32"],
    ] {
        parse(smart, sets).unwrap_or_else(|error| panic!("{sets:?}: {error}"));
    }
}

#[test]
fn a_task_of_ones_own_reads_back_to_the_same() {
    let text = "\
[tasks.nli]
inputs = \"pair\"
labels = [\"yes\", \"maybe\", \"no\"]
metric = \"macro-f1\"
train = \"nli.csv\"
overall-weight = 2
columns = { text-a = \"premise\", text-b = \"hypothesis\", label = \"gold\" }
[tasks.sts]
[tasks.rating]
inputs = \"single\"
score = [1, 5]
train = \"rating.jsonl\"
columns = { text = \"review\" }
[tasks.sst]
[train]
best-metric = \"nli\"
";
    let settings = Settings::from_text("x.toml", text, &[]).expect("valid");
    let names: Vec<&str> = settings.tasks.iter().map(|task| task.task.name()).collect();
    assert_eq!(
        names,
        ["nli", "sts", "rating", "sst"],
        "in the order of the file"
    );
    let nli = &settings.tasks[0];
    assert_eq!(
        (nli.head, nli.loss),
        (HeadKind::CrossEncoder, LossKind::CrossEntropy)
    );
    let rating = &settings.tasks[2];
    assert_eq!(
        (rating.head, rating.loss),
        (HeadKind::Linear, LossKind::Mse)
    );
    let resolved = settings.to_toml();
    let read = Settings::from_text("y.toml", &resolved, &[]).expect("reads back");
    assert_eq!(read, settings, "{resolved}");
    // A preset says no more than its name.
    let preset = Settings::from_text("x.toml", "[tasks.sst]\n", &[]).expect("valid");
    assert!(!preset.to_toml().contains("inputs"));
}

#[test]
fn what_a_task_of_ones_own_may_not_say() {
    let own = |keys: &str| format!("[tasks.nli]\ntrain = \"a.csv\"\n{keys}");
    for (keys, problem) in [
        (
            "inputs = \"pair\"\n",
            "x.toml:1: tasks.nli: is a task of your own",
        ),
        (
            "inputs = \"pair\"\nlabels = [\"a\"]\n",
            "x.toml:4: tasks.nli.labels: names one label",
        ),
        (
            "inputs = \"pair\"\nlabels = [\"a\", \"a\"]\n",
            "x.toml:4: tasks.nli.labels: \"a\" is there twice",
        ),
        (
            "inputs = \"pair\"\nbinary = [\"a\", \"b\", \"c\"]\n",
            "x.toml:4: tasks.nli.binary: takes two labels",
        ),
        (
            "inputs = \"pair\"\nscore = [5, 0]\n",
            "x.toml:4: tasks.nli.score: [5, 0] is no scale",
        ),
        (
            "inputs = \"pair\"\nscore = [0, 5]\nlabels = \"auto\"\n",
            "tasks.nli.score: stands beside tasks.nli.labels",
        ),
        (
            "inputs = \"pair\"\nscore = [0, 5]\nmetric = \"accuracy\"\n",
            "x.toml:5: tasks.nli.metric: nli takes pearson, spearman",
        ),
        (
            "inputs = \"single\"\nscore = [0, 5]\nhead = \"cosine\"\n",
            "x.toml:5: tasks.nli.head: nli takes linear",
        ),
        (
            "inputs = \"pair\"\nlabels = \"auto\"\nhead = \"cosine\"\n",
            "x.toml:5: tasks.nli.head: nli takes cross-encoder, concat",
        ),
        (
            "inputs = \"pair\"\nlabels = \"auto\"\ndev = \"a.txt\"\n",
            "x.toml:5: tasks.nli.dev: the ending of",
        ),
        (
            "inputs = \"pair\"\nlabels = \"auto\"\ncolumns.text = \"a\"\n",
            "tasks.nli.columns.text: is of single sentences",
        ),
    ] {
        let error = problems(&own(keys), &[]);
        assert!(error.contains(problem), "no {problem:?} in\n{error}");
    }
    for (text, problem) in [
        (
            "[tasks.NLI]\nhead = \"linear\"\n",
            "tasks.NLI: \"NLI\" is no name of a task",
        ),
        (
            "[tasks.overall]\n",
            "tasks.overall: \"overall\" cannot be the name of a task",
        ),
        (
            "[train]\nbest-metric = \"x\"\n",
            "train.best-metric: \"x\" is neither",
        ),
        (
            "[tasks.nli]\ninputs = \"pair\"\nlabels = \"auto\"\n",
            "tasks.nli.train: is not said",
        ),
    ] {
        let error = problems(text, &[]);
        assert!(error.contains(problem), "no {problem:?} in\n{error}");
        assert!(error.starts_with("1 problem in"), "{error}");
    }
}

#[test]
fn a_wrong_key_of_a_task_is_one_problem() {
    let rest = "[train]\nbest-metric = \"nli\"\n[regulariser.smart]\ntasks = [\"nli\"]\n";
    for keys in [
        "inputs = \"pair\"\nlabels = []\n",
        "inputs = \"pair\"\nlabels = [\"a\", \"a\"]\n",
        "inputs = \"pair\"\nlabels = \"Auto\"\n",
        "inputs = \"pair\"\nbinary = [\"yes\", \"yes\"]\n",
        "inputs = \"pair\"\nscore = [5, 0]\n",
        // Labels are f32, which has no such number, and none between these.
        "inputs = \"pair\"\nscore = [0.0, 1e39]\n",
        "inputs = \"pair\"\nscore = [1e9, 1000000001]\n",
        "inputs = \"triple\"\nlabels = [\"a\", \"b\"]\n",
        "inputs = \"pair\"\nlabels = [\"a\", \"b\"]\ncolumns.text-a = \"\"\n",
        "inputs = \"pair\"\nlabels = [\"1\", \"2\"]\nlabel-numbers = \"from-1\"\n",
    ] {
        let text = format!("[tasks.nli]\ntrain = \"a.csv\"\n{keys}{rest}");
        let error = problems(&text, &[]);
        assert!(error.starts_with("1 problem in x.toml"), "{error}");
    }
}

#[test]
fn a_presets_name_with_another_kind_of_label_is_another_task() {
    let named = |keys: &str| {
        let text = format!("[tasks.sst]\ntrain = \"a.csv\"\n{keys}\n");
        let settings = parse(&text, &[]).unwrap_or_else(|error| panic!("{error}"));
        let again = Settings::from_text("y.toml", &settings.to_toml(), &[]).expect("reads back");
        assert_eq!(again, settings);
        settings.tasks[0].spec.clone()
    };
    for keys in [
        "inputs = \"pair\"",
        "labels = [\"neg\", \"pos\"]",
        "score = [0, 4]",
    ] {
        let spec = named(keys);
        assert_eq!((spec.preset, spec.title.as_str()), (None, "sst"), "{keys}");
    }
    let renamed = named("labels = [\"a\", \"b\", \"c\", \"d\", \"e\"]");
    assert!(renamed.preset.is_some());
}

#[test]
fn a_format_that_reaches_no_task_is_said() {
    let text = "[data]\nformat = \"glue\"\ndir = \"d\"\n";
    let warned = |tasks: &str| {
        let loaded = load(&format!("{text}{tasks}"));
        loaded.warnings.iter().any(|it| it.contains("data.format"))
    };
    assert!(warned("[tasks.rte]\n"));
    assert!(warned(
        "[tasks.nli]\ninputs = \"pair\"\nlabels = [\"a\", \"b\"]\n"
    ));
    assert!(!warned("[tasks.rte]\n[tasks.sst]\n"));
}

/// Settings of a file, with their warnings.
fn load(text: &str) -> Loaded {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = write_in(folder.path(), "x.toml", text);
    Settings::load_with(&path, &[]).expect("valid")
}

#[test]
fn what_is_done_to_training_rows() {
    let text = "\
[tasks.sst]
label-shares = [1, 0.5, 1, 1, 0.25]
[tasks.para]
head = \"cross-encoder\"
augment = \"swap\"
label-shares = \"balanced\"
[tasks.sts]
[train]
batch-tokens = 512
";
    let settings = parse(text, &[]).expect("valid");
    assert!(settings.tasks[1].swaps() && !settings.tasks[2].swaps());
    assert_eq!(settings.tasks[1].label_shares, Some(LabelShares::Balanced));
    assert_eq!(settings.train.batch_tokens, Some(512));
    let resolved = settings.to_toml();
    assert_eq!(
        parse(&resolved, &[]).expect("reads back"),
        settings,
        "{resolved}"
    );
    assert_eq!(warnings(text, "", &[]), [""; 0]);
    // Where nothing is said nothing is written: plans and hashes of older runs are what they were.
    let plain = parse("", &[]).expect("valid").to_toml();
    for key in ["augment", "label-shares", "batch-tokens", "weight = \""] {
        assert!(!plain.contains(key), "{key} in {plain}");
    }
    let off = parse(text, &["train.batch-tokens=0"]).expect("valid");
    assert_eq!(off.train.batch_tokens, None);
    let own = "[tasks.sst]\nbatch-size = 4\n[tasks.para]\n[train]\nbatch-size = 24\n";
    let own = parse(own, &[]).expect("valid");
    let sizes = [TaskId::SST, TaskId::PARA].map(|task| own.batch_size(task));
    assert_eq!(sizes, [4, 24]);
    assert_eq!(parse(&own.to_toml(), &[]).expect("reads back"), own);
    let off = parse(text, &["tasks.para.augment=none"]).expect("valid");
    assert!(!off.tasks[1].swaps() && !off.to_toml().contains("augment"));

    let swap = |more: &str| format!("[tasks.sts]\naugment = \"swap\"\n{more}");
    assert_eq!(
        warnings(&swap(""), "", &[]),
        [
            "tasks.sts.augment (x.toml:2) has no effect: a cosine is the same for both orders of a pair; heads \"cross-encoder\" and \"concat\" learn from it"
        ]
    );
    assert_eq!(warnings(&swap("head = \"concat\"\n"), "", &[]), [""; 0]);
    let angle = swap("loss = \"angle\"\n");
    assert_eq!(
        warnings(&angle, "", &[]),
        [""; 0],
        "its imaginary part has a sign"
    );
    assert!(parse(&angle, &[]).expect("valid").tasks[0].swaps());
    let both = "[tasks.sst]\nbatch-size = 4\n[train]\nbatch-size = 16\n";
    assert_eq!(
        warnings(both, "", &[]),
        ["train.batch-size (x.toml:4) has no effect: tasks.sst.batch-size goes over it"]
    );
    assert_eq!(
        warnings(
            "[tasks.sst]\nbatch-size = 4\n[train]\nbatch-tokens = 512\n",
            "",
            &[]
        ),
        [
            "tasks.sst.batch-size (x.toml:2) has no effect: train.batch-tokens (x.toml:4) leaves no use for it"
        ]
    );
    assert_eq!(
        warnings("[train]\nbatch-size = 16\nbatch-tokens = 512\n", "", &[]),
        [
            "train.batch-size (x.toml:2) has no effect: train.batch-tokens (x.toml:3) leaves no use for it"
        ]
    );
    assert_eq!(
        warnings(
            "[tasks.para]\ntrain-on = false\nlabel-shares = \"balanced\"\n[tasks.sts]\n",
            "",
            &[]
        ),
        [
            "tasks.para.label-shares (x.toml:3) has no effect: tasks.para.train-on (x.toml:2) leaves no use for it"
        ]
    );
}

#[test]
fn what_may_not_be_done_to_training_rows() {
    for (text, expected) in [
        (
            "[tasks.sst]\naugment = \"swap\"\n",
            "x.toml:2: tasks.sst.augment: \"swap\" is of pairs, and the task has single sentences",
        ),
        (
            "[tasks.para]\naugment = \"mixup\"\n",
            "x.toml:2: tasks.para.augment: unknown variant `mixup`, expected `none` or `swap`",
        ),
        (
            "[tasks.sts]\nlabel-shares = \"balanced\"\n",
            "x.toml:2: tasks.sts.label-shares: means something only where a row has one label of several",
        ),
        (
            "[tasks.sst]\nlabel-shares = [1, 0.5]\n",
            "x.toml:2: tasks.sst.label-shares: lists 2 shares for 5 labels: there must be one for each, in their order",
        ),
        (
            "[tasks.para]\nlabel-shares = [1, 2]\n",
            "x.toml:2: tasks.para.label-shares: 2 is not a share above 0, up to 1",
        ),
        (
            "[tasks.para]\nlabel-shares = [1, 0]\n",
            "x.toml:2: tasks.para.label-shares: 0 is not a share above 0, up to 1",
        ),
        (
            "[tasks.para]\nlabel-shares = \"even\"\n",
            "x.toml:2: tasks.para.label-shares: \"even\" is neither a list of shares nor \"balanced\"",
        ),
        (
            "[tasks.para]\ncolumns = { weight = \"w\" }\n",
            "x.toml:2: tasks.para.columns.weight: names a column, and generated rows have none: name the data",
        ),
        (
            "[tasks.para]\ntrain = \"x.csv\"\ncolumns = { weight = \"\" }\n",
            "x.toml:3: tasks.para.columns.weight: is empty, and names no column",
        ),
    ] {
        only_problem(text, &[], expected);
    }
}

#[test]
fn poolings_side_by_side_and_what_heads_learn_of_vectors() {
    let text = "[model]\npooling = \"cls+mean\"\nlayer-mix = true\n[tasks.sst]\ndropout-samples = 4\n\
                [tasks.sts]\npooling = \"attention\"\n";
    let settings = parse(text, &[]).expect("fine");
    let [sst, sts] = [0, 1].map(|task| settings.tasks[task].model_config());
    assert_eq!(sst.pooling.to_string(), "cls+mean");
    assert_eq!(sts.pooling.to_string(), "attention");
    assert!(sst.layer_mix && sts.layer_mix);
    assert_eq!(sst.loss_options.dropout_samples, 4);
    assert_eq!(sts.loss_options.dropout_samples, 1);
    assert_eq!(
        parse(&settings.to_toml(), &[]).expect("read back"),
        settings
    );
    let again = LossSettings::of(&sst.loss_options);
    assert_eq!(again, settings.tasks[0].loss_settings);
    // What is not said is not in a resolved config: those of older runs stay what they were.
    let plain = parse("[tasks.sst]\n", &[]).expect("fine").to_toml();
    assert!(!plain.contains("layer-mix") && !plain.contains("dropout-samples"));
}

#[test]
fn dropout_samples_without_dropout_are_warned_of() {
    let warnings = |text: &str| warnings(text, "", &[]);
    assert_eq!(
        warnings("[model]\nhead-dropout = 0\n[tasks.sst]\ndropout-samples = 4\n"),
        [
            "tasks.sst.dropout-samples (x.toml:4) has no effect: model.head-dropout (x.toml:2) leaves no use for it"
        ]
    );
    assert_eq!(
        warnings("[tasks.sst]\nhead-dropout = 0\ndropout-samples = 4\n"),
        [
            "tasks.sst.dropout-samples (x.toml:3) has no effect: tasks.sst.head-dropout (x.toml:2) leaves no use for it"
        ]
    );
    for fine in [
        "[model]\nhead-dropout = 0\n[tasks.sst]\ndropout-samples = 1\n",
        "[tasks.sst]\ndropout-samples = 4\n",
    ] {
        assert!(warnings(fine).is_empty(), "{fine}");
    }
}
