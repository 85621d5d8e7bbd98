//! Scores at the end of an epoch: the dev splits, and training rows where an order asks for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bertram_core::data::{TokenizedDataset, sample_rows};
use bertram_core::metric::SplitScores;
use bertram_core::seed::mix;
use bertram_core::task::{LabelKind, MultitaskModel, TaskMap};
use bertram_kernels::TrainBackend;
use burn::data::dataloader::Progress;
use burn::module::AutodiffModule;
use burn::train::{EventProcessorTraining, LearnerEvent, TrainingItem};
use serde_json::{Value, json};

use super::{Events, TrainLoop};
use crate::average::Average;
use crate::config::ExportedWeights;
use crate::epoch::{Epoch, task_streams};
use crate::evaluate::{EvaluationSet, evaluate_by, split_logits, task_without_finite_logits};
use crate::finite::{NotFinite, NotFiniteValue};
use crate::frozen::Rows;
use crate::learner::series::SeriesItem;
use crate::learner::session::{TrainError, dev_series_name};
use crate::run_folder::{BestSoFar, CheckpointState};
use crate::schedule::Order;
use crate::selection::{EvaluatedParts, HALF, scores_of_parts};

impl<B: TrainBackend> TrainLoop<B> {
    fn place(&self) -> Place {
        let epochs = self.settings.train.epochs;
        Place {
            // A run of no epochs is in none.
            epoch: self.state.epoch.min(epochs),
            epochs,
            update: self.state.updates,
        }
    }

    /// Scores each task on (some of) its training rows, where the order of the next epoch depends on it.
    pub(super) fn score_training_rows(
        &mut self,
        model: &Option<MultitaskModel<B>>,
        events: &mut Events<B>,
    ) -> Result<(), TrainError> {
        let train = &self.settings.train;
        let Some(model) = model.as_ref().filter(|_| train.order == Order::LowestLast) else {
            return Ok(());
        };
        let tasks = self.tasks.clone();
        let data: Vec<TokenizedDataset> = tasks
            .iter()
            .zip(task_streams(&tasks))
            .map(|(task, stream)| {
                let seed = mix(train.seed, stream);
                let rows = sample_rows(task.train.len(), train.score_rows, seed);
                task.train.select(&rows)
            })
            .collect();
        let sets: Vec<EvaluationSet<'_>> = (tasks.iter().zip(&data))
            .map(|(task, data)| task.evaluation_set(data))
            .collect();
        let (scores, _) = self.scores(&model.valid(), &sets, events, Rows::Score);
        self.state.train_scores = scores
            .tasks
            .iter()
            .map(|(task, scores)| (*task, scores.primary()))
            .collect();
        let scores = serde_json::to_value(&self.state.train_scores).unwrap_or_default();
        self.log(&json!({
            "kind": "train_scores",
            "epoch": self.state.epoch,
            "update": self.state.updates,
            "scores": scores,
        }))?;
        Ok(())
    }

    /// Scores sets and gives their logits. What a frozen encoder makes of them is kept.
    fn scores(
        &mut self,
        model: &MultitaskModel<B::InnerBackend>,
        sets: &[EvaluationSet<'_>],
        events: &mut Events<B>,
        which: Rows,
    ) -> (SplitScores, TaskMap<Vec<Vec<f32>>>) {
        let place = self.place();
        let (frozen, device) = (&mut self.frozen, &self.device);
        let batch_size = self.settings.train.eval_batch_size;
        let logits = |set: EvaluationSet<'_>, progress: &mut dyn FnMut(usize)| {
            let kept = frozen.as_mut();
            let logits = kept.and_then(|frozen| frozen.logits(model, set, which, progress));
            logits.unwrap_or_else(|| split_logits(model, set, batch_size, device, progress))
        };
        evaluate_by(sets, logits, |done, total| {
            events.process_valid(item(place, SeriesItem::default(), done, total));
        })
    }

    /// Sends the rows of the epochs up to this one through a frozen encoder, those that it has not seen yet. Gives whether it
    /// was stopped.
    pub(super) fn encode_rows(
        &mut self,
        model: &Option<MultitaskModel<B>>,
        events: &mut Events<B>,
    ) -> bool {
        let place = self.place();
        let (Some(frozen), Some(model)) = (&mut self.frozen, model) else {
            return false;
        };
        let model = model.valid();
        while frozen.epochs < self.state.epoch {
            let number = frozen.epochs + 1;
            // The order of its updates is of no interest here.
            let epoch = Epoch::plan_by(
                &*self.schedule,
                &self.settings,
                &self.tasks,
                number,
                &TaskMap::new(),
            );
            for (index, task) in self.tasks.iter().enumerate() {
                let set = task.evaluation_set(&task.train);
                frozen.add(
                    &model,
                    set,
                    Rows::Train,
                    epoch.swapped_rows(index),
                    &mut |done, total| {
                        events.process_valid(item(place, SeriesItem::default(), done, total));
                        !self.stop.is_set()
                    },
                );
                if self.stop.is_set() {
                    return true;
                }
            }
            frozen.epochs = number;
        }
        false
    }

    /// Scores the whole dev split of every task; keeps the model if it is the best so far. Where the weights are averaged, it
    /// is their average that counts, and the weights themselves are scored beside it.
    pub(super) fn evaluate(
        &mut self,
        model: &Option<MultitaskModel<B>>,
        events: &mut Events<B>,
    ) -> Result<(), TrainError> {
        let Some(model) = model else {
            return Ok(());
        };
        let begun = Instant::now();
        self.check_finite()?;
        let last = model.valid();
        self.check_weights(&last)?;
        let average = self.updater.state().average.as_ref();
        let average = average.and_then(Average::model).cloned();
        let tasks = self.tasks.clone();
        let sets: Vec<EvaluationSet<'_>> = tasks
            .iter()
            .map(|task| task.evaluation_set(&task.dev))
            .collect();
        let place = self.place();
        let total: usize = self.tasks.iter().map(|task| task.dev.len()).sum();
        let averaged = average.is_some();
        if averaged {
            let (scores, _) = self.scores(&last, &sets, events, Rows::Dev);
            let line = self.dev_line("dev_last_weights", &scores);
            self.log(&line)?;
            self.state.last_weights = Some(scores);
        }
        let valid = average.unwrap_or(last);
        let (scores, logits) = self.scores(&valid, &sets, events, Rows::Dev);
        if let Some(task) = task_without_finite_logits(&logits) {
            return Err(self.diverged(NotFinite {
                update: self.state.updates,
                what: NotFiniteValue::Predictions(task),
            }));
        }
        events.process_valid(item(place, dev_series(&scores), total, total));
        events.process_valid(LearnerEvent::EndEpoch(self.state.epoch));
        self.last_evaluation_seconds = begun.elapsed().as_secs_f64();
        self.state.seconds = self.seconds();

        let share = self.settings.data.select_share;
        let of_parts = scores_of_parts(&sets, &logits, share.unwrap_or(HALF));
        // Of a run with two parts of dev, one chooses.
        let chosen_by = self.settings.train.best_metric.of(match share {
            Some(_) => &of_parts[0],
            None => &scores,
        });
        let mut line = self.dev_line("dev", &scores);
        if share.is_some() {
            line["chosen_by"] = json!(chosen_by);
        }
        self.log(&line)?;
        if let Some(tensorboard) = &mut self.tensorboard {
            for set in &sets {
                let task = set.config.task;
                let logits = logits.get(&task).map_or(&[][..], Vec::as_slice);
                if let Some(table) = confusion(set, logits) {
                    tensorboard.text(
                        &format!("dev/{task}/confusion"),
                        self.state.updates,
                        &table,
                    )?;
                }
            }
        }
        tracing::info!(
            "epoch {}: dev overall {:.4}",
            self.state.epoch,
            scores.overall
        );

        // Where no task has dev rows no epoch is better than another, and the last has learned most.
        let better =
            scores.tasks.is_empty() || self.best_score().is_none_or(|best| chosen_by > best);
        self.state.evaluations_since_best = match better {
            true => 0,
            false => self.state.evaluations_since_best + 1,
        };
        if better || self.settings.train.export == ExportedWeights::Last {
            self.best_is_new = true;
            self.state.best = Some(BestSoFar {
                epoch: self.state.epoch,
                update: Some(self.state.updates),
                averaged,
                scores,
            });
        }
        self.state.parts.push(EvaluatedParts {
            epoch: self.state.epoch,
            update: self.state.updates,
            chosen_by,
            scores: of_parts,
        });
        self.state.evaluated_at = Some(self.state.updates);
        Ok(())
    }

    /// The best score so far of those by which evaluations are chosen.
    fn best_score(&self) -> Option<f64> {
        let CheckpointState { best, parts, .. } = &self.state;
        let metric = self.settings.train.best_metric;
        // The best of a run that an older version began is not among the evaluations that have parts.
        let older = best.as_ref().filter(|best| {
            let same = |it: &EvaluatedParts| Some(it.update) == best.update;
            !parts.iter().any(same)
        });
        let older = older.map(|best| metric.of(&best.scores));
        parts
            .iter()
            .map(|it| it.chosen_by)
            .chain(older)
            .reduce(f64::max)
    }

    /// A line of `metrics.jsonl` with the scores of an evaluation.
    fn dev_line(&self, kind: &str, scores: &SplitScores) -> Value {
        let mut line = json!({
            "kind": kind,
            "epoch": self.state.epoch,
            "update": self.state.updates,
            "seconds": self.state.seconds,
        });
        if let (Some(line), Ok(Value::Object(scores))) =
            (line.as_object_mut(), serde_json::to_value(scores))
        {
            line.extend(scores);
        }
        line
    }
}

/// The place of a run, as an event says it.
#[derive(Clone, Copy)]
struct Place {
    epoch: usize,
    epochs: usize,
    update: usize,
}

/// That `done` of `rows` are scored.
fn item(place: Place, numbers: SeriesItem, done: usize, rows: usize) -> LearnerEvent<SeriesItem> {
    LearnerEvent::ProcessedItem(TrainingItem::new(
        numbers,
        Progress::new(done, rows),
        Progress::new(place.epoch, place.epochs),
        Some(place.update),
        None,
    ))
}

/// How often each label was taken for which, as a Markdown table; `None` for scores and several labels at once.
fn confusion(set: &EvaluationSet<'_>, logits: &[Vec<f32>]) -> Option<String> {
    let spec = &set.config.spec;
    let classes = match spec.label {
        LabelKind::Classes { classes } => classes,
        LabelKind::Binary => 2,
        LabelKind::Score { .. } | LabelKind::MultiLabel { .. } => return None,
    };
    let mut counts = vec![vec![0_usize; classes]; classes];
    for (logits, label) in logits.iter().zip(set.data.labels.as_ref()?) {
        let said = set.config.predict(logits).value as usize;
        if let Some(count) = counts
            .get_mut(*label as usize)
            .and_then(|row| row.get_mut(said))
        {
            *count += 1;
        }
    }
    let name = |class: usize| spec.label_text(class as f64);
    let names: Vec<String> = (0..classes).map(name).collect();
    let mut table = format!("| gold, then predicted | {} |\n|---", names.join(" | "));
    table.push_str(&"|---:".repeat(classes));
    table.push_str("|\n");
    for (name, row) in names.iter().zip(counts) {
        let row: Vec<String> = row.iter().map(usize::to_string).collect();
        table.push_str(&format!("| {name} | {} |\n", row.join(" | ")));
    }
    Some(table)
}

fn dev_series(scores: &SplitScores) -> SeriesItem {
    if scores.tasks.is_empty() {
        return SeriesItem::default();
    }
    let mut series: BTreeMap<String, f64> = scores
        .tasks
        .iter()
        .map(|(task, scores)| (dev_series_name(*task, scores.metric()), scores.primary()))
        .collect();
    series.insert("overall".into(), scores.overall);
    SeriesItem(Arc::new(series))
}
