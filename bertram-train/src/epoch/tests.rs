use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::config::LabelShares;
use crate::pipeline::prepare;

/// A small demo corpus; paraphrase is packed, so that its sentences have an order.
const TEXT: &str = "\
[model.random]
hidden-size = 16
layers = 1
vocab-size = 200
[data.demo]
sst = 90
para = 70
sts = 50
dev = 10
[tasks.sst]
[tasks.para]
head = \"cross-encoder\"
[tasks.sts]
head = \"concat\"
[train]
epochs = 4
batch-size = 8
";

fn prepared(sets: &[&str]) -> (Settings, Vec<TaskData>) {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let settings = Settings::from_text("test", TEXT, &sets).expect("settings");
    let prepared = prepare(&settings, None).expect("data");
    (prepared.settings, prepared.tasks)
}

fn plan(settings: &Settings, tasks: &[TaskData], epoch: usize) -> Epoch {
    Epoch::plan(settings, tasks, epoch, &TaskMap::new())
}

/// Whether each row of a task changes places.
fn orders(epoch: &Epoch, task: usize) -> BTreeMap<usize, bool> {
    epoch.swapped_rows(task).collect()
}

#[test]
fn without_new_keys_a_plan_is_what_it_was() {
    let (settings, tasks) = prepared(&["data.limit=33", "data.limit-draw=fresh"]);
    let epoch = plan(&settings, &tasks, 2);
    // What 0.1.0 drew, step by step.
    let seed = mix(settings.train.seed, 1);
    let rows = bertram_core::data::sample_rows(tasks[1].train.len(), 33, mix(seed, 2));
    let lengths: Vec<usize> = rows
        .iter()
        .map(|&row| tasks[1].batcher.length(&tasks[1].train, row))
        .collect();
    let batches = epoch_batches(&lengths, 8, seed, 2, true, true);
    let drawn: Vec<usize> = batches.concat().into_iter().map(|at| rows[at]).collect();
    assert_eq!(epoch.rows(1).collect::<Vec<_>>(), drawn);
    assert!(epoch.swapped_rows(1).all(|(_, swapped)| !swapped));
}

#[test]
fn a_task_has_batches_of_its_own_size() {
    let combined = ["train.schedule=combined", "train.combined-stop=cycle"];
    let own = ["tasks.sst.batch-size=2", "train.batch-size=8"];
    let (settings, tasks) = prepared(&[combined, own].concat());
    let epoch = plan(&settings, &tasks, 1);
    let update = &epoch.updates[0];
    for part in epoch.parts(update, &tasks) {
        let rows = if part.task == TaskId::SST { 2 } else { 8 };
        assert!(part.batches.iter().all(|batch| batch.examples == rows));
    }
    let largest = tasks.iter().map(|task| {
        let size = settings.batch_size(task.config.task);
        task.train.len().div_ceil(size)
    });
    assert_eq!(epoch.updates.len(), largest.max().expect("tasks"));
}

#[test]
fn half_of_the_pairs_change_places_whatever_the_batches_are() {
    let swap = "tasks.para.augment=swap";
    let (settings, tasks) = prepared(&[swap]);
    let first = orders(&plan(&settings, &tasks, 1), 1);
    let swapped = first.values().filter(|swapped| **swapped).count();
    assert_eq!(first.len(), 70);
    assert!((20..50).contains(&swapped), "{swapped} of 70");
    assert_eq!(orders(&plan(&settings, &tasks, 1), 1), first, "repeated");
    assert_ne!(orders(&plan(&settings, &tasks, 2), 1), first);
    for other in [
        "train.batch-size=3",
        "train.batch-tokens=64",
        "data.length-buckets=false",
        "train.accumulate=4",
        "train.schedule=annealed",
    ] {
        let (settings, tasks) = prepared(&[swap, other]);
        assert_eq!(orders(&plan(&settings, &tasks, 1), 1), first, "{other}");
    }
    let (settings, tasks) = prepared(&[swap, "train.seed=3"]);
    assert_ne!(orders(&plan(&settings, &tasks, 1), 1), first);
    // A row that is drawn at all is drawn the same way.
    let (settings, tasks) = prepared(&[swap, "data.limit=20"]);
    for (row, swapped) in orders(&plan(&settings, &tasks, 1), 1) {
        assert_eq!(first[&row], swapped);
    }
    let (settings, tasks) = prepared(&["tasks.sts.augment=swap"]);
    let epoch = plan(&settings, &tasks, 1);
    assert!(epoch.swapped_rows(2).any(|(_, swapped)| swapped));
    assert!(
        epoch.swapped_rows(1).all(|(_, swapped)| !swapped),
        "not asked for"
    );
    // One cosine for both orders.
    let (settings, tasks) = prepared(&["tasks.sts.augment=swap", "tasks.sts.head=cosine"]);
    let epoch = plan(&settings, &tasks, 1);
    assert!(epoch.swapped_rows(2).all(|(_, swapped)| !swapped));
}

#[test]
fn a_swapped_pair_is_packed_the_other_way_round() {
    for task in [1, 2] {
        let name = ["sst", "para", "sts"][task];
        let (settings, tasks) = prepared(&[&format!("tasks.{name}.augment=swap")]);
        let epoch = plan(&settings, &tasks, 1);
        let (data, batcher) = (&tasks[task].train, &tasks[task].batcher);
        let mut other = data.clone();
        std::mem::swap(&mut other.a, &mut other.b);
        let mut seen = 0;
        for update in &epoch.updates {
            for part in epoch.parts(update, &tasks) {
                for batch in part
                    .batches
                    .iter()
                    .filter(|batch| batch.task.name() == name)
                {
                    for (index, (&row, &swapped)) in
                        batch.rows.iter().zip(&batch.swapped).enumerate()
                    {
                        let alone = batcher.batch(if swapped { &other } else { data }, &[row]);
                        for side in 0..alone.sequences {
                            let sequence = side * batch.examples + index;
                            assert_eq!(batch.lengths[sequence], alone.lengths[side]);
                            let length = alone.lengths[side];
                            let (at, alone_at) = (sequence * batch.seq_len, side * alone.seq_len);
                            assert_eq!(
                                batch.input_ids[at..at + length],
                                alone.input_ids[alone_at..alone_at + length]
                            );
                            assert_eq!(
                                batch.token_type_ids[at..at + length],
                                alone.token_type_ids[alone_at..alone_at + length]
                            );
                        }
                        assert_eq!(batch.labels[index], data.labels_of(&[row])[0]);
                        seen += usize::from(swapped);
                    }
                }
            }
        }
        assert!(seen > 10, "{seen} of {name}");
    }
}

#[test]
fn token_batches_make_the_updates_that_are_planned() {
    for schedule in [
        "sequential",
        "combined",
        "additive",
        "proportional",
        "annealed",
    ] {
        for more in [
            "train.accumulate=1",
            "train.accumulate=3",
            "train.epoch-end-surgery=true",
        ] {
            let schedule = format!("train.schedule={schedule}");
            let (settings, tasks) = prepared(&[
                "train.batch-tokens=60",
                "train.combined-stop=cycle",
                &schedule,
                more,
            ]);
            let epochs: Vec<Epoch> = (1..=4)
                .map(|epoch| plan(&settings, &tasks, epoch))
                .collect();
            let made: usize = epochs.iter().map(|epoch| epoch.updates.len()).sum();
            let of = super::schedule(&settings);
            assert_eq!(
                Epoch::updates_of_run(&*of, &settings, &tasks),
                made,
                "{schedule} {more}"
            );
        }
    }
    let (settings, tasks) = prepared(&[]);
    let of = super::schedule(&settings);
    let first = plan(&settings, &tasks, 1).updates.len();
    assert_eq!(Epoch::updates_of_run(&*of, &settings, &tasks), 4 * first);
    let (settings, tasks) = prepared(&["train.epochs=0"]);
    assert_eq!(Epoch::updates_of_run(&*of, &settings, &tasks), 0);
}

#[test]
fn label_shares_are_drawn_before_the_limit() {
    let label = |task: &TaskData, row: usize| task.train.labels_of(&[row])[0] as usize;
    let counts = |tasks: &[TaskData], epoch: &Epoch| {
        let mut counts = [0_usize; 5];
        for row in epoch.rows(0) {
            counts[label(&tasks[0], row)] += 1;
        }
        counts
    };
    let (settings, tasks) = prepared(&[]);
    let all = counts(&tasks, &plan(&settings, &tasks, 1));
    let rarest = *all.iter().min().expect("classes");
    assert!(rarest > 2 && all.iter().sum::<usize>() == 90, "{all:?}");

    let balanced = "tasks.sst.label-shares=balanced";
    let (settings, tasks) = prepared(&[balanced]);
    let (first, second) = (plan(&settings, &tasks, 1), plan(&settings, &tasks, 2));
    assert_eq!(counts(&tasks, &first), [rarest; 5]);
    let rows = |epoch: &Epoch| {
        let mut rows: Vec<usize> = epoch.rows(0).collect();
        rows.sort_unstable();
        rows
    };
    assert_eq!(rows(&first), rows(&second), "fixed");
    let mut once = rows(&first);
    once.dedup();
    assert_eq!(once.len(), 5 * rarest, "no row twice");
    assert_eq!(first.rows(1).count(), 70, "other tasks have all");

    let (settings, tasks) = prepared(&[balanced, "data.limit-draw=fresh"]);
    let (third, fourth) = (plan(&settings, &tasks, 1), plan(&settings, &tasks, 2));
    assert_eq!(counts(&tasks, &fourth), [rarest; 5]);
    assert_ne!(rows(&third), rows(&fourth), "fresh");

    let shares = "tasks.sst.label-shares=[1, 0.5, 1, 0.01, 1]";
    let (settings, tasks) = prepared(&[shares]);
    let expected = [all[0], all[1].div_ceil(2), all[2], 1, all[4]];
    let epoch = plan(&settings, &tasks, 1);
    assert_eq!(counts(&tasks, &epoch), expected);

    // A limit is drawn of what the shares leave, and so is a scale.
    let (settings, tasks) = prepared(&[shares, "tasks.sst.limit=10"]);
    let limited = plan(&settings, &tasks, 1);
    assert_eq!(limited.rows(0).count(), 10);
    assert!(
        limited
            .rows(0)
            .all(|row| epoch.rows(0).any(|kept| kept == row))
    );
    let left: usize = expected.iter().sum();
    let (settings, tasks) = prepared(&[shares, "data.rows-scale=0.5"]);
    assert_eq!(plan(&settings, &tasks, 1).rows(0).count(), left.div_ceil(2));
    assert_eq!(
        tasks[0].label_shares,
        Some(LabelShares::Each(vec![1.0, 0.5, 1.0, 0.01, 1.0]))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_row_of_an_epoch_in_one_batch_within_the_budget(
        budget in 1usize..200,
        epoch in 1usize..4,
        limit in 5usize..60,
        buckets: bool,
    ) {
        let sets = [
            format!("train.batch-tokens={budget}"),
            format!("data.limit={limit}"),
            format!("data.length-buckets={buckets}"),
            "tasks.para.augment=swap".to_owned(),
        ];
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let (settings, tasks) = prepared(&sets);
        let epoch = plan(&settings, &tasks, epoch);
        for (index, task) in tasks.iter().enumerate() {
            let mut rows: Vec<usize> = epoch.rows(index).collect();
            rows.sort_unstable();
            rows.dedup();
            prop_assert_eq!(rows.len(), limit.min(task.train.len()));
        }
        // Sequential: every batch is an update.
        for update in &epoch.updates {
            for part in epoch.parts(update, &tasks) {
                for batch in part.batches {
                    prop_assert!(batch.tokens <= budget || batch.examples == 1);
                    let task = tasks.iter().find(|task| task.config.task == batch.task);
                    let task = task.expect("the batch's task");
                    let counted = batch.rows.iter().map(|&row| task.batcher.tokens(&task.train, row));
                    prop_assert_eq!(counted.sum::<usize>(), batch.tokens);
                }
            }
        }
    }
}
