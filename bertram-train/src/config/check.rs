//! From keys to settings: defaults, ranges, and what goes together.

use std::path::PathBuf;

use bertram_core::data::{BadRows, Format, Preprocess};
use bertram_core::encoder::{BertConfig, Pooling};
use bertram_core::task::{LabelKind, TaskId};

use super::source::{ConfigError, MOST, Source};
use super::{
    BaselineSettings, BestMetric, DataSettings, DemoSettings, DropoutSettings, LimitDraw, Loaded,
    LoggingSettings, ModelSettings, OptimizerKind, RESOLVED, RandomModel, Settings, TaskSettings,
    TrainSettings,
};
use super::{paths, regulariser, shadow};
use crate::aggregator::{AggregatorConfig, AggregatorKind};
use crate::average::AverageKind;
use crate::data_source::is_url;
use crate::optim::{AdamWConfig, LrSchedule};
use crate::schedule::{CombinedStop, Order, ScheduleKind};
use crate::weighting::LossWeighting;

/// The seed of the course's own code.
const DEFAULT_SEED: u64 = 11711;

pub(super) fn settings(mut source: Source) -> Result<Loaded, ConfigError> {
    let s = &mut source;
    let model = model(s);
    let data = data(s);
    let tasks = super::task::tasks(s, &model, &data);
    let train = train(s, &tasks);
    let baseline = baseline(s, &tasks);
    let aggregator = aggregator(s);
    let trained: Vec<TaskId> = tasks
        .iter()
        .filter(|task| task.train_on)
        .map(|task| task.task)
        .collect();
    let regulariser = regulariser::regulariser(s, &trained);
    if aggregator.kind != AggregatorKind::Sum
        && !(train.schedule == ScheduleKind::Combined || train.epoch_end_surgery)
    {
        s.problem_between(
            "aggregator.kind",
            "train.schedule",
            "has no gradients to merge: set train.schedule = \"combined\", or train.epoch-end-surgery = true",
        );
    }
    regulariser::check_precision(s, &regulariser, train.precision);
    let optimizer = optimizer(s);
    s.has_table("logging");
    let logging = LoggingSettings {
        tensorboard: s.flag("logging.tensorboard").unwrap_or(false),
    };
    let experiment = super::experiment::experiment(s);
    if let Some(random) = &model.random
        && data.max_length > random.max_positions
    {
        s.problem_between(
            "data.max-length",
            "model.random.max-positions",
            format!(
                "{} is more than model.random.max-positions = {}",
                data.max_length, random.max_positions
            ),
        );
    }
    let settings = Settings {
        model,
        data,
        tasks,
        train,
        baseline,
        aggregator,
        regulariser,
        optimizer,
        logging,
        experiment,
    };
    let resolved = s.flag(RESOLVED).unwrap_or(false);
    shadow::warn(s, &settings, resolved);
    let said = s.said();
    let warnings = source.finish()?;
    Ok(Loaded {
        settings,
        warnings,
        said,
    })
}

pub(super) const PROBABILITY: &str = "a number from 0 up to, but not including, 1";

pub(super) fn is_probability(number: f64) -> bool {
    (0.0..1.0).contains(&number)
}

pub(super) fn positive(number: f64) -> bool {
    number > 0.0 && number.is_finite()
}

pub(super) fn not_negative(number: f64) -> bool {
    number >= 0.0 && number.is_finite()
}

/// Most rows of a generated split: they are made in memory.
const MOST_DEMO_ROWS: usize = 10_000_000;

/// A whole number from 1 to `most`.
pub(super) fn size_up_to(s: &mut Source, key: &str, default: usize, most: usize) -> usize {
    s.count_up_to(key, 1, most as u64)
        .map_or(default, |count| count as usize)
}

/// A whole number from 1, where it is said.
pub(super) fn optional_size(s: &mut Source, key: &str) -> Option<usize> {
    s.count_up_to(key, 1, MOST as u64)
        .map(|count| count as usize)
}

fn model(s: &mut Source) -> ModelSettings {
    s.has_table("model");
    let path = paths::folder_or_name(s, "model.path");
    if path.is_some() && s.has_keys("model.random") {
        s.problem(
            "model.path",
            "stands beside [model.random]: keep one, a pretrained model or a random one",
        );
    }
    let random = random(s);
    ModelSettings {
        random: path.is_none().then_some(random),
        path,
        revision: s.text("model.revision").unwrap_or_else(|| "main".into()),
        pooling: s.choice("model.pooling").unwrap_or(Pooling::Cls),
        layer_mix: s.flag("model.layer-mix").unwrap_or(false),
        head_dropout: s
            .number("model.head-dropout", PROBABILITY, is_probability)
            .unwrap_or(0.3),
        freeze: s.flag("model.freeze").unwrap_or(false),
        frozen_dropout: s.flag("model.frozen-dropout").unwrap_or(false),
        dropout: DropoutSettings {
            hidden: s.number("model.dropout.hidden", PROBABILITY, is_probability),
            attention: s.number("model.dropout.attention", PROBABILITY, is_probability),
        },
    }
}

fn random(s: &mut Source) -> RandomModel {
    let (width, rows) = (BertConfig::MOST_WIDTH, BertConfig::MOST_ROWS);
    let random = RandomModel {
        hidden_size: size_up_to(s, "model.random.hidden-size", 128, width),
        layers: size_up_to(s, "model.random.layers", 2, BertConfig::MOST_LAYERS),
        heads: size_up_to(s, "model.random.heads", 2, width),
        intermediate_size: size_up_to(s, "model.random.intermediate-size", 512, width),
        max_positions: size_up_to(s, "model.random.max-positions", 128, rows),
        vocab_size: size_up_to(s, "model.random.vocab-size", 2000, rows),
        dropout: s
            .number("model.random.dropout", PROBABILITY, is_probability)
            .unwrap_or(0.1),
    };
    if !random.hidden_size.is_multiple_of(random.heads) {
        s.problem_between(
            "model.random.heads",
            "model.random.hidden-size",
            format!(
                "{} heads do not divide hidden-size = {}",
                random.heads, random.hidden_size
            ),
        );
    }
    random
}

fn data(s: &mut Source) -> DataSettings {
    s.has_table("data");
    s.has_table("data.demo");
    DataSettings {
        dir: folder(s, "data.dir"),
        format: s.choice("data.format").unwrap_or(Format::Cs224n),
        preprocess: s.choice("data.preprocess").unwrap_or(Preprocess::Cs224n),
        bad_rows: s.choice("data.bad-rows").unwrap_or(BadRows::Error),
        max_length: s
            .count_up_to("data.max-length", 4, BertConfig::MOST_ROWS as u64)
            .map_or(128, |count| count as usize),
        limit: optional_size(s, "data.limit"),
        rows_scale: s.number("data.rows-scale", "a share above 0, up to 1", |share| {
            share > 0.0 && share <= 1.0
        }),
        dev_limit: optional_size(s, "data.dev-limit"),
        test_limit: s
            .count_up_to("data.test-limit", 0, MOST as u64)
            .map(|count| count as usize),
        limit_draw: s.choice("data.limit-draw").unwrap_or(LimitDraw::Fixed),
        select_share: s.number("data.select-share", "a share between 0 and 1", |share| {
            share > 0.0 && share < 1.0
        }),
        length_buckets: s.flag("data.length-buckets").unwrap_or(true),
        pad_to_multiple_of: s
            .count_up_to("data.pad-to-multiple-of", 1, BertConfig::MOST_ROWS as u64)
            .map(|count| count as usize),
        demo: DemoSettings {
            seed: s.count("data.demo.seed", 0).unwrap_or(7),
            sst: size_up_to(s, "data.demo.sst", 2000, MOST_DEMO_ROWS),
            para: size_up_to(s, "data.demo.para", 2000, MOST_DEMO_ROWS),
            sts: size_up_to(s, "data.demo.sts", 2000, MOST_DEMO_ROWS),
            dev: size_up_to(s, "data.demo.dev", 400, MOST_DEMO_ROWS),
        },
    }
}

fn train(s: &mut Source, tasks: &[TaskSettings]) -> TrainSettings {
    s.has_table("train");
    let learning_rate = s
        .number("train.learning-rate", "a number above 0", positive)
        .unwrap_or(1e-5);
    let schedule = s
        .choice("train.schedule")
        .unwrap_or(ScheduleKind::Sequential);
    let order = s.choice("train.order").unwrap_or(Order::Fixed);
    if order != Order::Fixed && schedule != ScheduleKind::Sequential {
        s.problem_between(
            "train.order",
            "train.schedule",
            "means something only with train.schedule = \"sequential\"",
        );
    }
    let combined_stop: Option<CombinedStop> = s.choice("train.combined-stop");
    let temperature = s.number("train.temperature", "a number above 0", positive);
    if temperature.is_some() && schedule != ScheduleKind::Temperature {
        s.problem_between(
            "train.temperature",
            "train.schedule",
            "means something only with train.schedule = \"temperature\"",
        );
    }
    let average: Option<AverageKind> = s.choice("train.average");
    let average_decay = s.number("train.average-decay", PROBABILITY, is_probability);
    if average_decay.is_some() && average != Some(AverageKind::Ema) {
        s.problem_between(
            "train.average-decay",
            "train.average",
            "means something only with train.average = \"ema\"",
        );
    }
    let average_start = s.number("train.average-start", PROBABILITY, is_probability);
    if average_start.is_some() && average.is_none() {
        s.problem_between(
            "train.average-start",
            "train.average",
            "means something only with train.average = \"ema\" or \"swa\"",
        );
    }
    TrainSettings {
        epochs: s
            .count_up_to("train.epochs", 0, MOST as u64)
            .map_or(10, |count| count as usize),
        seed: s.count("train.seed", 0).unwrap_or(DEFAULT_SEED),
        batch_size: size_up_to(s, "train.batch-size", 8, MOST),
        batch_tokens: s
            .count_up_to("train.batch-tokens", 0, MOST as u64)
            .filter(|tokens| *tokens > 0)
            .map(|tokens| tokens as usize),
        eval_batch_size: size_up_to(s, "train.eval-batch-size", 32, MOST),
        learning_rate,
        head_learning_rate: s
            .number("train.head-learning-rate", "a number above 0", positive)
            .unwrap_or(learning_rate),
        layer_decay: s.number("train.layer-decay", "a number above 0, up to 1", |share| {
            share > 0.0 && share <= 1.0
        }),
        embeddings_learning_rate: s.number(
            "train.embeddings-learning-rate",
            "a number of at least 0",
            not_negative,
        ),
        lr_schedule: s
            .choice("train.lr-schedule")
            .unwrap_or(LrSchedule::Constant),
        warmup: s
            .number("train.warmup", "a share from 0 to 1", |share| {
                (0.0..=1.0).contains(&share)
            })
            .unwrap_or(0.0),
        max_grad_norm: s
            .number(
                "train.max-grad-norm",
                "a number of at least 0",
                not_negative,
            )
            .unwrap_or(0.0),
        accumulate: size_up_to(s, "train.accumulate", 1, MOST),
        schedule,
        order,
        score_rows: size_up_to(s, "train.score-rows", 1000, MOST),
        combined_stop: combined_stop.unwrap_or(CombinedStop::Shortest),
        temperature,
        epoch_end_surgery: s.flag("train.epoch-end-surgery").unwrap_or(false),
        loss_weighting: s
            .choice("train.loss-weighting")
            .unwrap_or(LossWeighting::Fixed),
        weighting_learning_rate: s
            .number(
                "train.weighting-learning-rate",
                "a number above 0",
                positive,
            )
            .unwrap_or(1e-3),
        best_metric: best_metric(s, tasks),
        early_stopping: s
            .count_up_to("train.early-stopping", 0, MOST as u64)
            .map_or(0, |count| count as usize),
        export: s.choice("train.export").unwrap_or_default(),
        max_updates: optional_size(s, "train.max-updates"),
        evaluate_every: optional_size(s, "train.evaluate-every"),
        average,
        average_decay,
        average_start,
        log_every: size_up_to(s, "train.log-every", 10, MOST),
        checkpoint_every: s
            .count_up_to("train.checkpoint-every", 0, MOST as u64)
            .map_or(0, |count| count as usize),
        keep_checkpoints: size_up_to(s, "train.keep-checkpoints", 2, MOST),
        keep_training_state: s.flag("train.keep-training-state").unwrap_or(false),
        precision: s.choice("train.precision").unwrap_or_default(),
        kernels: s.choice("train.kernels").unwrap_or_default(),
        tf32: s.flag("train.tf32").unwrap_or(true),
        activation_checkpointing: s.flag("train.activation-checkpointing").unwrap_or(false),
    }
}

/// What the best epoch is chosen by: the overall score, or that of a task.
fn best_metric(s: &mut Source, tasks: &[TaskSettings]) -> BestMetric {
    let key = "train.best-metric";
    let Some(said) = s.text(key).filter(|said| said != BestMetric::OVERALL) else {
        return BestMetric::Overall;
    };
    let found = tasks.iter().find(|task| task.task.name() == said);
    match found {
        Some(task) => BestMetric::Task(task.task),
        None if s.is_forgiven(&format!("tasks.{said}")) => BestMetric::Overall,
        None => {
            let names: Vec<&str> = tasks.iter().map(|task| task.task.name()).collect();
            s.problem(
                key,
                format!(
                    "{said:?} is neither \"overall\" nor a task; the tasks are {}",
                    names.join(", ")
                ),
            );
            BestMetric::Overall
        }
    }
}

fn aggregator(s: &mut Source) -> AggregatorConfig {
    s.has_table("aggregator");
    let default = AggregatorConfig::default();
    let kind = s.choice("aggregator.kind").unwrap_or(default.kind);
    let variant = s.choice("aggregator.variant");
    if variant.is_some() && kind != AggregatorKind::Pcgrad {
        s.problem(
            "aggregator.variant",
            "means something only with kind = \"pcgrad\"",
        );
    }
    let c = s.number("aggregator.c", PROBABILITY, is_probability);
    if c.is_some() && kind != AggregatorKind::Cagrad {
        s.problem(
            "aggregator.c",
            "means something only with kind = \"cagrad\"",
        );
    }
    let beta = s.number("aggregator.beta", "a share from 0 to 1", |share| {
        (0.0..=1.0).contains(&share)
    });
    if beta.is_some() && kind != AggregatorKind::Gradvac {
        s.problem(
            "aggregator.beta",
            "means something only with kind = \"gradvac\"",
        );
    }
    AggregatorConfig {
        kind,
        scope: s.choice("aggregator.scope").unwrap_or(default.scope),
        reduction: s
            .choice("aggregator.reduction")
            .unwrap_or(default.reduction),
        variant,
        c,
        beta,
    }
}

fn baseline(s: &mut Source, tasks: &[TaskSettings]) -> Option<BaselineSettings> {
    let there = s.has_table("baseline");
    let class = s
        .count_up_to("baseline.class", 0, MOST as u64)
        .map_or(0, |class| class as usize);
    let classes = tasks.iter().filter_map(|task| match task.spec.label {
        // Those of `labels = "auto"` are not known yet.
        LabelKind::Classes { classes } | LabelKind::MultiLabel { classes } => {
            Some(classes).filter(|classes| *classes > 0)
        }
        LabelKind::Binary | LabelKind::Score { .. } => None,
    });
    if let Some(fewest) = classes.min().filter(|fewest| class >= *fewest) {
        s.problem(
            "baseline.class",
            format!("{class} is not a class: they are 0 to {}", fewest - 1),
        );
    }
    let binary = s.count("baseline.binary", 0).map_or(0, |yes| yes as usize);
    if binary > 1 {
        s.problem("baseline.binary", format!("{binary} is not 0 or 1"));
    }
    there.then_some(BaselineSettings { class, binary })
}

/// A folder on this machine.
fn folder(s: &mut Source, key: &str) -> Option<PathBuf> {
    let path = paths::path(s, key)?;
    if is_url(&path) {
        s.problem(
            key,
            format!(
                "{} is a URL, and a data folder is on this machine: name its files one by one (tasks.NAME.train, dev and test)",
                path.display()
            ),
        );
    }
    Some(path)
}

fn optimizer(s: &mut Source) -> AdamWConfig {
    s.has_table("optimizer");
    // There is one kind so far.
    let _: Option<OptimizerKind> = s.choice("optimizer.kind");
    let default = AdamWConfig::default();
    AdamWConfig {
        beta1: s
            .number("optimizer.beta1", PROBABILITY, is_probability)
            .unwrap_or(default.beta1),
        beta2: s
            .number("optimizer.beta2", PROBABILITY, is_probability)
            .unwrap_or(default.beta2),
        eps: s
            .number("optimizer.eps", "a number above 0", positive)
            .unwrap_or(default.eps),
        weight_decay: s
            .number(
                "optimizer.weight-decay",
                "a number of at least 0",
                not_negative,
            )
            .unwrap_or(default.weight_decay),
        weight_decay_on: s.choice("optimizer.weight-decay-on").unwrap_or_default(),
    }
}
