use super::*;
use proptest::prelude::*;

const TASKS: [TaskId; 3] = TaskId::PAPER;

fn sizes(counts: &[usize]) -> Vec<(TaskId, usize)> {
    TASKS.into_iter().zip(counts.iter().copied()).collect()
}

fn seen(updates: &[Update], task: TaskId) -> Vec<usize> {
    updates
        .iter()
        .flat_map(|update| &update.parts)
        .filter(|part| part.task == task)
        .flat_map(|part| part.batches.clone())
        .collect()
}

fn tasks_in_order(updates: &[Update]) -> Vec<TaskId> {
    let mut tasks: Vec<TaskId> = updates.iter().map(|update| update.parts[0].task).collect();
    tasks.dedup();
    tasks
}

const NO_SCORES: TaskMap<f64> = TaskMap::new();

fn list(schedule: &dyn Schedule, counts: &[usize], epoch: usize) -> Vec<Update> {
    schedule.epoch(&EpochContext {
        sizes: &sizes(counts),
        epoch,
        epochs: 4,
        seed: 1,
        train_scores: &NO_SCORES,
    })
}

fn every_schedule(accumulate: usize) -> Vec<Box<dyn Schedule>> {
    let combined = |stop| Combined { stop, accumulate };
    let sequential = |order| Sequential { order, accumulate };
    vec![
        Box::new(sequential(Order::Fixed)),
        Box::new(sequential(Order::Rotating)),
        Box::new(sequential(Order::LowestLast)),
        Box::new(combined(CombinedStop::Shortest)),
        Box::new(combined(CombinedStop::Cycle)),
        Box::new(combined(CombinedStop::Draw)),
        Box::new(Additive {
            batches: combined(CombinedStop::Cycle),
        }),
        Box::new(Sampled {
            exponent: 1.0,
            accumulate,
        }),
        Box::new(Sampled {
            exponent: 0.2,
            accumulate,
        }),
        Box::new(EpochEndSurgery {
            schedule: Box::new(sequential(Order::Rotating)),
        }),
    ]
}

proptest! {
    #[test]
    fn every_schedule_repeats_itself_and_takes_batches_that_are_there(
        counts in prop::collection::vec(0usize..12, 3), accumulate in 1usize..4, epoch in 1usize..5,
    ) {
        for schedule in every_schedule(accumulate) {
            let updates = list(schedule.as_ref(), &counts, epoch);
            prop_assert_eq!(&updates, &list(schedule.as_ref(), &counts, epoch));
            let some = counts.iter().any(|&count| count > 0);
            prop_assert_eq!(updates.is_empty(), !some);
            for update in &updates {
                let mut tasks: Vec<TaskId> = update.parts.iter().map(|part| part.task).collect();
                tasks.sort_by_key(|task| task.name());
                tasks.dedup();
                prop_assert_eq!(tasks.len(), update.parts.len(), "a task once an update");
                prop_assert!(update.parts.iter().all(|part| !part.batches.is_empty()));
            }
            for (task, count) in sizes(&counts) {
                prop_assert!(seen(&updates, task).iter().all(|&batch| batch < count));
            }
            // The learning rate's schedule counts on it.
            prop_assert_eq!(updates.len(), list(schedule.as_ref(), &counts, 1).len());
        }
    }

    #[test]
    fn sequential_takes_every_batch_once_and_task_after_task(
        counts in prop::collection::vec(1usize..12, 3), accumulate in 1usize..4, epoch in 1usize..5,
    ) {
        for order in [Order::Fixed, Order::Rotating] {
            let updates = list(&Sequential { order, accumulate }, &counts, epoch);
            for (task, count) in sizes(&counts) {
                prop_assert_eq!(seen(&updates, task), (0..count).collect::<Vec<_>>());
            }
            let mut expected = TASKS.to_vec();
            if order == Order::Rotating {
                expected.rotate_left((epoch - 1) % 3);
            }
            prop_assert_eq!(tasks_in_order(&updates), expected);
        }
    }

    #[test]
    fn combined_takes_every_task_in_every_update(
        counts in prop::collection::vec(1usize..12, 3), accumulate in 1usize..4,
    ) {
        for stop in [CombinedStop::Shortest, CombinedStop::Cycle, CombinedStop::Draw] {
            let updates = list(&Combined { stop, accumulate }, &counts, 1);
            prop_assert!(updates.iter().all(|update| update.parts.len() == 3));
            if stop == CombinedStop::Draw {
                continue;
            }
            for (task, count) in sizes(&counts) {
                let distinct = seen(&updates, task).into_iter().collect::<std::collections::HashSet<_>>().len();
                let shortest = counts.iter().map(|count| count.div_ceil(accumulate)).min().unwrap_or(0) * accumulate;
                prop_assert_eq!(distinct, if stop == CombinedStop::Cycle { count } else { count.min(shortest) });
            }
        }
    }
}

#[test]
fn lowest_last_moves_one_task() {
    let schedule = Sequential {
        order: Order::LowestLast,
        accumulate: 1,
    };
    let order = |scores: &[(TaskId, f64)]| {
        let scores = scores.iter().copied().collect();
        tasks_in_order(&schedule.epoch(&EpochContext {
            sizes: &sizes(&[2, 2, 2]),
            epoch: 2,
            epochs: 3,
            seed: 1,
            train_scores: &scores,
        }))
    };
    let [sst, para, sts] = TASKS;
    assert_eq!(order(&[]), [sst, para, sts]);
    assert_eq!(
        order(&[(sst, 0.3), (para, 0.6), (sts, 0.5)]),
        [para, sts, sst]
    );
    assert_eq!(
        order(&[(sst, 0.5), (para, 0.4), (sts, 0.5)]),
        [sst, sts, para]
    );
    assert_eq!(
        order(&[(sst, 0.5), (para, 0.6), (sts, -0.1)]),
        [sst, para, sts]
    );
}

#[test]
fn additive_sums_and_surgery_comes_last_with_its_own_optimiser() {
    let schedule = EpochEndSurgery {
        schedule: Box::new(Additive {
            batches: Combined {
                stop: CombinedStop::Cycle,
                accumulate: 1,
            },
        }),
    };
    let updates = list(&schedule, &[2, 3, 1], 1);
    let (last, others) = updates.split_last().expect("updates");
    assert_eq!(others.len(), 3);
    assert!(
        others
            .iter()
            .all(|update| update.merge == Merge::Sum && update.optimizer == OptimizerSlot::Main)
    );
    assert_eq!(
        (last.merge, last.optimizer),
        (Merge::Aggregate, OptimizerSlot::Surgery)
    );
    let batches: Vec<_> = last.parts.iter().map(|part| part.batches.clone()).collect();
    assert_eq!(
        batches,
        [vec![0], vec![2], vec![0]],
        "what each task took last"
    );
}

#[test]
fn sampling_follows_the_exponent() {
    let counts = [900, 90, 10];
    let share = |exponent: f64| {
        let updates = list(
            &Sampled {
                exponent,
                accumulate: 1,
            },
            &counts,
            1,
        );
        TASKS.map(|task| seen(&updates, task).len() as f64 / updates.len() as f64)
    };
    for (exponent, expected) in [(1.0, [0.9, 0.09, 0.01]), (0.0, [1.0 / 3.0; 3])] {
        for (share, expected) in share(exponent).into_iter().zip(expected) {
            assert!(
                (share - expected).abs() < 0.05,
                "{share} is not near {expected}"
            );
        }
    }
    assert_eq!(annealed_exponent(1, 5), 1.0);
    assert!((annealed_exponent(5, 5) - 0.2).abs() < 1e-12);
    assert_eq!(annealed_exponent(1, 1), 1.0);
}
