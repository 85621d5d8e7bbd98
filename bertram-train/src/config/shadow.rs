//! Keys that are said and change nothing, because another goes over them: each gets a warning that names the winner.

use super::source::{Place, Source};
use super::{ExportedWeights, Settings, TaskSettings, loss, rows};
use crate::schedule::{Order, ScheduleKind};
use crate::weighting::LossWeighting;

/// Settings of all tasks, and the key of a task's own section that goes over each.
const PER_TASK: [(&str, &str); 6] = [
    ("data.limit", "limit"),
    ("data.limit-draw", "limit-draw"),
    ("train.batch-size", "batch-size"),
    ("data.format", "format"),
    ("model.pooling", "pooling"),
    ("model.head-dropout", "head-dropout"),
];

/// Notes what of the settings has no effect. A `resolved` config says every key, and one that is built in is nobody's to
/// mend: of them only arguments are looked at.
pub(super) fn warn(s: &mut Source, settings: &Settings, resolved: bool) {
    let said = |s: &Source, key: &str| {
        let place = s.place_of(key).cloned();
        let theirs = resolved || !s.is_file();
        place.filter(|place| !theirs || matches!(place, Place::Argument(_)))
    };
    for (key, own) in PER_TASK {
        if let Some(said) = said(s, key) {
            of_tasks(s, settings, key, &said, |task| {
                vec![format!("tasks.{task}.{own}")]
            });
        }
    }
    if let Some(said) = said(s, "data.dir") {
        of_tasks(s, settings, "data.dir", &said, |task| {
            ["train", "dev", "test"]
                .map(|split| format!("tasks.{task}.{split}"))
                .to_vec()
        });
    }
    let is_course = |task: &TaskSettings| task.spec.preset.is_some_and(|it| it.course.is_some());
    if let Some(said) = said(s, "data.format")
        && !settings.tasks.iter().any(is_course)
    {
        let place = s.show_place(&said);
        s.warn(format!(
            "data.format ({place}) has no effect: it is of the files of sst, para and sts; others go by their endings or by tasks.NAME.format, and GLUE's by GLUE's layout"
        ));
    }
    for task in settings.tasks.iter().filter(|task| !task.train_on) {
        for name in loss::KEYS.into_iter().chain(rows::KEYS) {
            let key = format!("tasks.{}.{name}", task.task);
            if let Some(said) = said(s, &key) {
                without_use(s, &key, &said, &format!("tasks.{}.train-on", task.task));
            }
        }
    }
    for task in &settings.tasks {
        let key = format!("tasks.{}.batch-size", task.task);
        if let Some(said) = said(s, &key).filter(|_| settings.train.batch_tokens.is_some()) {
            without_use(s, &key, &said, "train.batch-tokens");
        }
        let key = format!("tasks.{}.dropout-samples", task.task);
        let own = format!("tasks.{}.head-dropout", task.task);
        let several = task.loss_settings.dropout_samples > Some(1);
        if let Some(said) = said(s, &key).filter(|_| several && task.head_dropout == 0.0) {
            let own_is_said = s.place_of(&own).is_some();
            let winner = if own_is_said {
                own.as_str()
            } else {
                "model.head-dropout"
            };
            without_use(s, &key, &said, winner);
        }
    }
    for (key, winner) in switched_off(s, settings) {
        if let Some(said) = said(s, key) {
            without_use(s, key, &said, winner);
        }
    }
}

/// A setting of all tasks that single tasks have their own of. `own` gives the keys that, all said, stand in for `key`.
///
/// A file that says how most tasks are and how one is different means that; an argument for all tasks that some do not
/// follow is a surprise.
fn of_tasks(
    s: &mut Source,
    settings: &Settings,
    key: &str,
    said: &Place,
    own: impl Fn(&str) -> Vec<String>,
) {
    let mut winners = Vec::new();
    let mut farther = false;
    for task in &settings.tasks {
        let keys = own(task.task.name());
        let places: Vec<_> = keys.iter().filter_map(|key| s.place_of(key)).collect();
        if places.len() == keys.len() {
            farther |= places
                .iter()
                .all(|place| place.nearness() < said.nearness());
            winners.extend(keys);
        }
    }
    let all = winners.len() == settings.tasks.len() * own("").len();
    let nearest = winners
        .iter()
        .filter_map(|key| s.place_of(key))
        .map(|it| it.nearness());
    // Where a nearer file or argument says every task's own, the farther key was meant to give way.
    let meant = nearest
        .max()
        .is_none_or(|nearest| nearest > said.nearness());
    if winners.is_empty() || (all && meant) || (!all && !farther) {
        return;
    }
    let place = s.show_place(said);
    let verb = if winners.len() == 1 { "goes" } else { "go" };
    let winners = list(&winners);
    s.warn(if all && key == "model.pooling" {
        // It is still what `encode` takes of the trained model.
        format!("{key} ({place}) reaches no task: {winners} {verb} over it")
    } else if all {
        format!("{key} ({place}) has no effect: {winners} {verb} over it")
    } else {
        format!("{key} ({place}) does not reach every task: {winners} {verb} over it")
    });
}

fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// Keys of something that is not switched on, each with the key that would switch it on or has switched it off.
fn switched_off(s: &Source, settings: &Settings) -> Vec<(&'static str, &'static str)> {
    let train = &settings.train;
    let own_files = |task: &TaskSettings| task.train.is_some() || task.dev.is_some();
    let demo = settings.data.dir.is_none() && !settings.tasks.iter().all(own_files);
    let limited = settings.data.limit.is_some()
        || settings.data.rows_scale.is_some()
        || (settings.tasks.iter()).any(|task| task.limit.is_some() || task.label_shares.is_some());
    let takes_several = matches!(
        train.schedule,
        ScheduleKind::Combined | ScheduleKind::Additive
    );
    let aggregates = train.schedule == ScheduleKind::Combined || train.epoch_end_surgery;
    let learns_weights = train.loss_weighting == LossWeighting::Uncertainty;
    let own_head_rate = s.place_of("train.head-learning-rate").is_some();
    [
        ("data.demo.seed", demo, "data.dir"),
        ("data.demo.sst", demo, "data.dir"),
        ("data.demo.para", demo, "data.dir"),
        ("data.demo.sts", demo, "data.dir"),
        ("data.demo.dev", demo, "data.dir"),
        ("data.limit-draw", limited, "data.limit"),
        (
            "train.batch-size",
            train.batch_tokens.is_none(),
            "train.batch-tokens",
        ),
        ("train.combined-stop", takes_several, "train.schedule"),
        (
            "train.score-rows",
            train.order == Order::LowestLast,
            "train.order",
        ),
        (
            "train.weighting-learning-rate",
            learns_weights,
            "train.loss-weighting",
        ),
        (
            "train.learning-rate",
            !(settings.model.freeze && own_head_rate),
            "model.freeze",
        ),
        ("train.layer-decay", !settings.model.freeze, "model.freeze"),
        (
            "train.embeddings-learning-rate",
            !settings.model.freeze,
            "model.freeze",
        ),
        (
            "optimizer.weight-decay-on",
            settings.optimizer.weight_decay > 0.0,
            "optimizer.weight-decay",
        ),
        (
            "data.select-share",
            train.export == ExportedWeights::Best || train.early_stopping > 0,
            "train.export",
        ),
        (
            "model.frozen-dropout",
            settings.model.freeze,
            "model.freeze",
        ),
        (
            "model.dropout.hidden",
            !settings.model.encodes_once(),
            "model.frozen-dropout",
        ),
        (
            "model.dropout.attention",
            !settings.model.encodes_once(),
            "model.frozen-dropout",
        ),
        ("aggregator.scope", aggregates, "train.schedule"),
        ("aggregator.reduction", aggregates, "train.schedule"),
    ]
    .into_iter()
    .filter(|(_, used, _)| !used)
    .map(|(key, _, winner)| (key, winner))
    .collect()
}

/// A key that is said and not used, because of another or of that one's default.
fn without_use(s: &mut Source, key: &str, said: &Place, winner: &str) {
    let winner_place = s.place_of(winner).cloned();
    // What a nearer place switches off was meant to be.
    if (winner_place.as_ref()).is_some_and(|place| place.nearness() > said.nearness()) {
        return;
    }
    let place = s.show_place(said);
    let winner_place = match winner_place {
        Some(winner_place) => s.show_place(&winner_place),
        None => "its default".into(),
    };
    s.warn(format!(
        "{key} ({place}) has no effect: {winner} ({winner_place}) leaves no use for it"
    ));
}
