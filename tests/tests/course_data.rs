//! The course's real files, where they are at hand: row counts, bad rows, class shares.
#![allow(clippy::print_stdout, reason = "a test that skips says so")]

use std::path::PathBuf;

use bertram_core::data::{
    BadRows, Columns, Dataset, Format, LabelColumn, Preprocess, ReadOptions, Split, layout_file,
    read_dataset,
};
use bertram_core::task::{TaskId, TaskSpec};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("BERTRAM_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cs224n"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "skipped: no course data in {} (set BERTRAM_DATA)",
        folder.display()
    );
    None
}

fn read(task: TaskId, split: Split) -> Option<Dataset> {
    let path = layout_file(&folder()?, Format::Cs224n, task, split);
    let dataset = read_dataset(
        &path,
        &ReadOptions {
            task,
            spec: &TaskSpec::preset(task).expect("a preset"),
            format: Format::Cs224n,
            columns: &Columns::default(),
            bad_rows: BadRows::Skip,
            preprocess: Preprocess::Cs224n,
            labels: LabelColumn::of(split),
            label_numbers: None,
            weights: false,
        },
    );
    Some(dataset.expect("the course's files can be read"))
}

#[test]
fn row_counts_and_bad_rows() {
    for (task, split, rows, skipped) in [
        (TaskId::SST, Split::Train, 8544, 0),
        (TaskId::SST, Split::Dev, 1101, 0),
        (TaskId::SST, Split::Test, 2210, 0),
        (TaskId::STS, Split::Train, 6040, 0),
        (TaskId::STS, Split::Dev, 863, 0),
        (TaskId::STS, Split::Test, 1725, 0),
        (TaskId::PARA, Split::Train, 71_951, 0),
        (TaskId::PARA, Split::Dev, 20_212, 2),
    ] {
        let Some(dataset) = read(task, split) else {
            return;
        };
        assert_eq!(dataset.examples.len(), rows, "{}", dataset.path.display());
        assert_eq!(dataset.skipped.len(), skipped, "{:?}", dataset.skipped);
        let labelled = dataset.examples.iter().all(|row| row.label.is_some());
        assert_eq!(labelled, split != Split::Test);
    }
}

#[test]
fn the_majority_of_quora_dev_is_no() {
    let Some(dataset) = read(TaskId::PARA, Split::Dev) else {
        return;
    };
    let no = dataset
        .examples
        .iter()
        .filter(|row| row.number() == Some(0.0))
        .count();
    let share = no as f64 / dataset.examples.len() as f64;
    assert!((share - 0.625).abs() < 0.001, "{share}");
}
