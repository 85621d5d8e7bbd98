//! Reports of run folders that the tests write.

use std::path::{Path, PathBuf};

use bertram_train::config::Settings;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What a run scored: sst, para, sts.
pub(super) type Scores = [f64; 3];

fn dev(scores: Scores) -> serde_json::Value {
    let [sst, para, r] = scores;
    json!({
        "sst": { "accuracy": sst, "macro_f1": sst - 0.02, "majority": 0.262, "rows": 1101 },
        "para": { "accuracy": para, "macro_f1": para - 0.1, "majority": 0.625, "rows": 400 },
        "sts": { "pearson": r, "spearman": r + 0.01, "rows": 300 },
        "overall": (sst + para + (r + 1.0) / 2.0) / 3.0,
        "mean": (sst + para + r) / 3.0,
    })
}

fn write(path: PathBuf, value: &serde_json::Value) {
    std::fs::write(path, format!("{value:#}\n")).expect("write");
}

/// Writes a run folder; without scores, an unfinished one.
pub(super) fn write_run(folder: &Path, config: &str, seed: u64, scores: Option<Scores>) {
    std::fs::create_dir_all(folder).expect("folder");
    let settings = Settings::from_text("test.toml", config, &[format!("train.seed={seed}")])
        .unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(folder.join("config.toml"), settings.to_toml()).expect("config");
    let mut log = String::new();
    let [sst, para, r] = scores.unwrap_or_default();
    for epoch in 1..=2 {
        for update in [epoch * 20 - 10, epoch * 20] {
            let loss = 2.0 / update as f64;
            log += &json!({
                "kind": "train", "epoch": epoch, "update": update, "updates": 60,
                "loss": { "sst": loss, "para": loss / 2.0, "sts": loss / 4.0 },
                "gradient_cosine": { "sst-para": 0.1, "sst-sts": -0.05, "para-sts": null },
                "conflict_share": 0.25,
            })
            .to_string();
            log.push('\n');
        }
        let less = 0.1 * f64::from(2 - epoch);
        let mut line = dev([sst - less, para - less, r - less]);
        line["kind"] = "dev".into();
        line["epoch"] = epoch.into();
        line["update"] = (epoch * 20).into();
        log += &format!("{line}\n");
    }
    // A kill cuts a line off.
    log.push_str("{\"kind\": \"tra");
    std::fs::write(folder.join("metrics.jsonl"), log).expect("metrics");
    let data = json!([{
        "task": "sst", "split": "dev", "path": "data/ids-sst-dev.csv", "sha256": "5f0c", "rows": 1101, "skipped": 0,
    }]);
    write(
        folder.join("run.json"),
        &json!({
            "bertram": "0.1.0", "burn": "0.21.0", "backend": "flex", "device": 0, "seed": seed,
            "model": null, "model_sha256": null, "started": "2026-11-23T08:09:24.123Z",
            "command": ["bertram-cli", "train", "--seed", seed.to_string()], "data": data,
        }),
    );
    let Some(scores) = scores else { return };
    write(
        folder.join("analysis.json"),
        &json!({
            "sst": { "kind": "confusion", "counts": [[5, 1], [2, 4]] },
            "para": {
                "kind": "calibration", "ece": 0.1, "rows": 10,
                "bins": [
                    { "from": 0.0, "to": 0.5, "count": 10, "mean_probability": 0.4, "positives": 0.3 },
                    { "from": 0.5, "to": 1.0, "count": 0, "mean_probability": null, "positives": null },
                ],
            },
            "sts": { "kind": "scatter", "rows": 3, "points": [[0.0, 0.5], [2.6, 2.0], [5.0, 4.5]] },
        }),
    );
    write(
        folder.join("summary.json"),
        &json!({
            "run": "run", "dev": dev(scores), "best_epoch": 2, "epochs": 3, "updates": 40, "seconds": 61.25,
            "training_seconds": 50.0, "wall_seconds": 70.5, "phase_seconds": { "starting": 1.5, "training": 50.0, "evaluating": 19.0 },
            "tokens": 50_000, "tokens_per_second": 1000.0,
            "peak_memory_bytes": 1_610_612_736u64, "parameters": 1000, "backend": "flex", "seed": seed,
            "versions": { "bertram": "0.1.0", "burn": "0.21.0" }, "data": data,
        }),
    );
}

pub(super) const E04: &str = "\
[train]
schedule = \"combined\"
[experiment]
id = \"e04\"
title = \"fine-tune on all three\"
paper = { sst = 0.469, para = 0.526, sts = 0.534, overall = 0.587 }
levels = { pcgrad = \"off\" }
";

const E11: &str = "\
[train]
schedule = \"combined\"
[aggregator]
kind = \"pcgrad\"
[experiment]
id = \"e11\"
title = \"e04 with PCGrad\"
levels = { pcgrad = \"on\" }
";

/// Two settings of two seeds, and a run that is not finished.
fn two_settings(dir: &Path) {
    write_run(&dir.join("e04/seed-1"), E04, 1, Some([0.46, 0.60, 0.50]));
    write_run(&dir.join("e04/seed-2"), E04, 2, Some([0.48, 0.62, 0.54]));
    write_run(&dir.join("e11/seed-1"), E11, 1, Some([0.50, 0.70, 0.58]));
    write_run(&dir.join("e11/seed-2"), E11, 2, Some([0.54, 0.72, 0.56]));
    write_run(&dir.join("e11/seed-3"), E11, 3, None);
}

fn read(dir: &Path, baseline: Option<&str>) -> Report {
    Report::read(&[dir.to_owned()], baseline).unwrap_or_else(|error| panic!("{error}"))
}

fn score(group: &Group, measure: Measure) -> Statistic {
    group.statistic(measure).expect("scored")
}

#[test]
fn runs_that_differ_by_seed_are_one_setting() {
    let dir = tempfile::tempdir().expect("temp dir");
    two_settings(dir.path());
    // The same seed again, elsewhere, with another result.
    write_run(&dir.path().join("z"), E04, 1, Some([0.99, 0.99, 0.99]));
    let report = read(dir.path(), None);
    let labels: Vec<&str> = report.groups.iter().map(|it| it.label.as_str()).collect();
    assert_eq!(labels, ["e04", "e11"]);
    let e04 = &report.groups[0];
    assert_eq!((e04.runs.len(), e04.repeats.len()), (2, 1));
    let sst = score(e04, Measure::Task(bertram_core::task::TaskId::SST));
    assert!((sst.mean - 0.47).abs() < 1e-12, "{sst:?}");
    assert!(
        sst.sd
            .is_some_and(|sd| (sd - 0.02 / 2f64.sqrt()).abs() < 1e-12)
    );
    assert_eq!(report.best().map(|it| it.label.as_str()), Some("e11"));
    let names: Vec<&str> = e04.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["e04/seed-1", "e04/seed-2"]);
    let unfinished: Vec<_> = report
        .unfinished
        .iter()
        .map(|it| (it.name.as_str(), it.updates))
        .collect();
    assert_eq!(unfinished, [("seed-3", Some((40, 60)))]);
}

#[test]
fn a_run_that_cannot_be_read_is_named_and_left_out() {
    let dir = tempfile::tempdir().expect("temp dir");
    two_settings(dir.path());
    let bad = dir.path().join("bad");
    write_run(&bad, E04, 1, Some([0.5, 0.5, 0.5]));
    // What serde makes of a number that is none.
    std::fs::write(
        bad.join("analysis.json"),
        r#"{"para": {"kind": "calibration", "bins": [], "ece": null, "rows": 3}}"#,
    )
    .expect("write");
    let report = read(dir.path(), None);
    assert_eq!(report.groups.len(), 2);
    let [unreadable] = &report.unreadable[..] else {
        panic!("{:?}", report.unreadable)
    };
    assert_eq!(unreadable.name, "bad");
    assert!(
        unreadable.reason.contains("bad/analysis.json"),
        "{unreadable:?}"
    );
    let markdown = report.markdown().expect("markdown");
    assert!(markdown.contains("Runs that cannot be read"), "{markdown}");
    let error = Report::read(&[bad], None).expect_err("nothing to show");
    assert!(error.is_input() && error.to_string().contains("analysis.json"));
}

#[test]
fn a_run_is_read_once_however_often_it_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    two_settings(dir.path());
    let paths = [dir.path().to_owned(), dir.path().join("e04/seed-1")];
    let report = Report::read(&paths, None).expect("report");
    assert!(report.groups.iter().all(|group| group.repeats.is_empty()));
}

#[test]
fn baselines_are_found_by_id_by_run_and_by_folder() {
    let dir = tempfile::tempdir().expect("temp dir");
    two_settings(dir.path());
    let folder = dir.path().join("e11/seed-2");
    for name in ["e11", "e11/seed-1", &folder.display().to_string()] {
        assert_eq!(
            read(dir.path(), Some(name)).baseline().label,
            "e11",
            "{name}"
        );
    }
    let error = Report::read(&[dir.path().to_owned()], Some("e12")).expect_err("no e12");
    assert_eq!(
        error.to_string(),
        "no finished run is called e12; --baseline takes one of: e04, e11"
    );
    assert!(error.is_input());
}

#[test]
fn errors_say_what_is_missing() {
    let dir = tempfile::tempdir().expect("temp dir");
    let of = |path: PathBuf| {
        Report::read(&[path], None)
            .expect_err("no runs")
            .to_string()
    };
    assert!(of(dir.path().join("none")).contains("does not exist"));
    assert!(of(dir.path().to_owned()).contains("no run folder in"));
    write_run(&dir.path().join("only"), "", 1, None);
    let error = of(dir.path().to_owned());
    assert!(
        error.contains("none of the 1 runs is finished") && error.contains("--resume"),
        "{error}"
    );
    std::fs::write(dir.path().join("only/summary.json"), "{}").expect("write");
    let error = of(dir.path().to_owned());
    assert!(error.contains("summary.json: missing field"), "{error}");
}

/// Takes out what every new setting would change.
fn without_configs(text: &str) -> String {
    let mut inside = false;
    text.lines()
        .filter(|line| {
            let fence = line.starts_with("```");
            inside ^= fence;
            (fence || !inside) && !line.starts_with("setting,")
        })
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[test]
fn markdown_and_csv_read_well() {
    let dir = tempfile::tempdir().expect("temp dir");
    two_settings(dir.path());
    let report = read(dir.path(), None);
    let shown =
        |text: String| without_configs(&text.replace(&dir.path().display().to_string(), "RUNS"));
    insta::assert_snapshot!("markdown", shown(report.markdown().expect("markdown")));
    insta::assert_snapshot!("csv", shown(report.csv().expect("csv")));
}

#[test]
fn the_page_loads_nothing_and_says_what_the_markdown_says() {
    let dir = tempfile::tempdir().expect("temp dir");
    two_settings(dir.path());
    let report = read(dir.path(), Some("e11"));
    let page = report.html("made by a test").expect("page");
    for network in [
        "http:", "https:", "//", "@import", "url(", "<script", "src=",
    ] {
        let at = page
            .find(network)
            .map(|at| &page[at.saturating_sub(80)..at + 40]);
        assert_eq!(at, None, "{network}");
    }
    // The icon is empty data: without it a browser asks the server for one.
    for link in page.split("href=\"").skip(1) {
        assert!(
            link.starts_with('#') || link.starts_with("data:,"),
            "{link:.40}"
        );
    }
    assert!(page.contains("made by a test"));
    assert_eq!(
        page.matches("<svg ").count(),
        page.matches("role=\"img\"").count()
    );
    // Every colour of a chart is a variable, and every variable is defined.
    assert!(!page.contains("\"#01"), "a stand-in colour is left");
    for variable in page
        .split("var(--")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        assert!(page.contains(&format!("--{variable}:")), "{variable}");
    }
    let markdown = report.markdown().expect("markdown");
    for heading in markdown.lines().filter_map(|line| line.strip_prefix("## ")) {
        assert!(page.contains(&format!(">{heading}</h2>")), "{heading}");
    }
}

#[test]
fn text_of_configs_is_text() {
    let dir = tempfile::tempdir().expect("temp dir");
    let evil = "<script>alert('1')</script>\\\"><img src=x onerror=alert(1)>";
    for (name, id) in [("<script>alert(2)</script>", "a"), ("b", evil)] {
        let config = format!("[experiment]\nid = \"{id}\"\ntitle = \"{evil}\"\n");
        write_run(
            &dir.path().join(name.replace('/', "_")),
            &config,
            1,
            Some([0.5; 3]),
        );
    }
    let report = read(dir.path(), None);
    let page = report.html("<script>").expect("page");
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "not escaped"
    );
    let markdown = report.markdown().expect("markdown");
    let outside = without_configs(&markdown);
    assert!(
        !outside.contains("<script") && !outside.contains("<img"),
        "not escaped"
    );
}

/// Makes a run one of a config's.
fn with_config(run: &Path, config: &str) {
    let path = run.join("run.json");
    let text = std::fs::read_to_string(&path).expect("run.json");
    let text = text.replace(
        "\"train\",",
        &format!("\"train\", \"--config\", \"{config}\","),
    );
    std::fs::write(path, text).expect("write");
}

#[test]
fn settings_are_called_by_their_configs_and_what_they_change() {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, config, text) in [
        ("a", "configs/small.toml", ""),
        ("b", "small", "[train]\nepochs = 7\n"),
        ("c", "other", "[train]\nepochs = 8\n"),
        ("d", "", "[train]\nepochs = 9\n"),
    ] {
        let run = dir.path().join(name);
        write_run(&run, text, 1, Some([0.5; 3]));
        if !config.is_empty() {
            with_config(&run, config);
        }
    }
    let report = read(dir.path(), None);
    let labels: Vec<&str> = report.groups.iter().map(|it| it.label.as_str()).collect();
    assert_eq!(labels, ["small", "small, epochs=7", "other", "d"]);
}

#[test]
fn pages_lead_to_each_other() {
    let dir = tempfile::tempdir().expect("temp dir");
    two_settings(dir.path());
    // The same seed again, elsewhere: not counted, and it has a page.
    write_run(&dir.path().join("z"), E04, 1, Some([0.9; 3]));
    let pages = read(dir.path(), None)
        .pages("made by a test")
        .expect("pages");
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "report.html",
            "run-e04-seed-1.html",
            "run-e04-seed-2.html",
            "run-z.html",
            "run-e11-seed-1.html",
            "run-e11-seed-2.html",
            "index.html",
        ]
    );
    let (_, index) = pages.last().expect("an index");
    for name in &names[..names.len() - 1] {
        assert!(index.contains(&format!("<a href=\"{name}\">")), "{name}");
    }
    assert!(index.contains("Unfinished runs") && index.contains("seed-3"));
    let one = &pages[2].1;
    assert!(one.contains("seed-2: fine-tune on all three</title>"));
    assert!(!one.contains("e11"), "the page of one run is of that run");
}

#[test]
fn a_single_run_without_training_has_a_report() {
    let dir = tempfile::tempdir().expect("temp dir");
    let run = dir.path().join("e01");
    write_run(&run, "[train]\nepochs = 0\n", 1, Some([0.2, 0.375, -0.033]));
    for file in ["metrics.jsonl", "analysis.json", "run.json"] {
        std::fs::remove_file(run.join(file)).expect("remove");
    }
    let report = read(dir.path(), None);
    let markdown = report.markdown().expect("markdown");
    for part in [
        "# Report of e01",
        "- **Quora paraphrase**: 0.375, not above the majority class (0.625)",
        "| −0.033 |",
    ] {
        assert!(markdown.contains(part), "no {part:?} in\n{markdown}");
    }
    for absent in [
        "Learning curves",
        "Conflicts",
        "Predictions",
        "Differences",
        "Ablation",
    ] {
        assert!(!markdown.contains(absent), "{absent}");
    }
    assert!(report.html("").expect("page").contains("Report of e01"));
}

#[test]
fn effects_are_shown_where_levels_vary() {
    let dir = tempfile::tempdir().expect("temp dir");
    two_settings(dir.path());
    let markdown = read(dir.path(), None).markdown().expect("markdown");
    // (.50 - .46 + .54 - .48) / 2
    assert!(markdown.contains("| pcgrad | sst | +0.050 |"), "{markdown}");
    // A grid with a hole is no design: that is said.
    let more = E11.replace("pcgrad = \"on\"", "pcgrad = \"on\", smart = \"on\"");
    let more = more.replace("e11", "e12");
    write_run(&dir.path().join("e12"), &more, 1, Some([0.5; 3]));
    let e04 = E04.replace("pcgrad = \"off\"", "pcgrad = \"off\", smart = \"off\"");
    write_run(
        &dir.path().join("e13"),
        &e04.replace("e04", "e13"),
        1,
        Some([0.5; 3]),
    );
    let markdown = read(dir.path(), None).markdown().expect("markdown");
    assert!(
        markdown.contains("there are no effects to show: no run of"),
        "{markdown}"
    );
}

/// The files that a report is made from.
const READ: [&str; 5] = [
    "config.toml",
    "run.json",
    "metrics.jsonl",
    "analysis.json",
    "summary.json",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_damage_to_a_run_makes_a_report_panic(
        file in prop::sample::select(READ.to_vec()),
        place in 0.0..1.0f64,
        cut: bool,
        more in prop_oneof![
            prop::sample::select(vec!["-1", "1e309", "null", "[]", "{}", "\"", "18446744073709551615"]).prop_map(|it| it.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..9),
        ],
    ) {
        let dir = tempfile::tempdir().expect("temp dir");
        write_run(&dir.path().join("whole"), E04, 1, Some([0.5; 3]));
        let run = dir.path().join("damaged");
        write_run(&run, E11, 1, Some([0.6; 3]));
        let path = run.join(file);
        let mut bytes = std::fs::read(&path).expect("a file");
        let at = (bytes.len() as f64 * place) as usize;
        bytes.splice(at..at, more);
        if cut {
            bytes.truncate(at);
        }
        std::fs::write(path, bytes).expect("written");
        // One run is damaged at most: the other is reported.
        let report = Report::read(&[dir.path().to_owned()], None).expect("a report");
        report.html("").expect("a page");
        report.csv().expect("a table");
        report.pages("").expect("pages");
    }
}
