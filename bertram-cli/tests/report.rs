//! Reports from the command line, of runs that were just trained.

mod common;

use std::path::Path;

use common::{bertram, finish, run_in, shown, stderr, stdout, with_sets};

fn train(dir: &Path, out: &str, sets: &[&str]) {
    let small = [
        "data.demo.sst=40",
        "data.demo.para=40",
        "data.demo.sts=40",
        "data.demo.dev=30",
        "model.random.hidden-size=16",
        "model.random.intermediate-size=32",
        "train.epochs=1",
        "train.log-every=1",
    ];
    let mut command = bertram();
    command
        .current_dir(dir)
        .args(["train", "--dashboard", "none", "--out", out]);
    finish(with_sets(&mut command, small.iter().chain(sets)));
}

#[test]
fn trained_runs_have_a_report() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    for (out, kind, seed) in [
        ("runs/a", "sum", 1),
        ("runs/b", "sum", 2),
        ("runs/c", "pcgrad", 1),
    ] {
        let kind = format!("aggregator.kind={kind}");
        let seed = format!("train.seed={seed}");
        train(dir, out, &[&kind, &seed]);
    }
    let analysis = std::fs::read_to_string(dir.join("runs/a/analysis.json")).expect("analysis");
    for kind in ["confusion", "calibration", "scatter"] {
        assert!(
            analysis.contains(&format!("\"kind\": \"{kind}\"")),
            "{analysis}"
        );
    }

    let report = ["report", "runs", "--baseline", "c", "--out", "report.html"];
    let output = run_in(dir, &report);
    assert_eq!(
        stdout(&output),
        "report.html: 3 runs, 2 settings\n",
        "{}",
        stderr(&output)
    );
    let page = std::fs::read_to_string(dir.join("report.html")).expect("page");
    for part in [
        "<!doctype html>",
        "The baseline is c.",
        "aggregator.kind",
        "Conflicts of gradients",
        "confusion matrix",
        "</html>",
    ] {
        assert!(page.contains(part), "no {part:?}");
    }
    // Texts of the data are in it, and in no page that is made without.
    let mistakes = std::fs::read_to_string(dir.join("runs/a/predictions/sst-dev-mistakes.csv"));
    let mistakes = mistakes.expect("mistakes");
    assert!(mistakes.lines().count() > 1, "{mistakes}");
    assert!(page.contains("most surely wrong about"));
    let pages = ["report", "runs", "--no-texts", "--format", "pages", "--out"];
    assert!(
        run_in(dir, &[&pages[..], &["pages"]].concat())
            .status
            .success()
    );
    for page in std::fs::read_dir(dir.join("pages")).expect("pages") {
        let page = page.expect("a page").path();
        let text = std::fs::read_to_string(&page).expect("text");
        assert!(!text.contains("most surely wrong about"), "{page:?}");
    }
    // A report that is made again takes the place of the old one.
    assert!(run_in(dir, &report).status.success());

    let output = run_in(dir, &["report", "runs/a", "--format", "markdown"]);
    assert!(
        stdout(&output).starts_with("# Report of a\n"),
        "{}",
        shown(&output)
    );
    let output = run_in(dir, &["report", "runs/a", "runs/c", "--out", "numbers.csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let csv = std::fs::read_to_string(dir.join("numbers.csv")).expect("csv");
    assert!(
        csv.starts_with("section,setting,run,seed,task,"),
        "{csv:.200}"
    );
}

#[test]
fn what_cannot_be_reported_is_said() {
    let dir = tempfile::tempdir().expect("temp dir");
    let dir = dir.path();
    std::fs::create_dir(dir.join("empty")).expect("folder");
    let messages: Vec<String> = [
        &["report", "empty"][..],
        &["report", "empty", "--format", "csv"],
        &["report", "none", "--out", "report.html"],
        &["report", "empty", "--out", "empty"],
        &["report", "empty", "--out", "no/report.html"],
    ]
    .into_iter()
    .map(|args| shown(&run_in(dir, args)))
    .collect();
    insta::assert_snapshot!("report_errors", messages.join("\n"));
}
