//! `[tasks.*]`: what each task is, how it is modelled, and where its rows are.

use std::sync::Arc;

use bertram_core::data::{Columns, LabelNumbers};
use bertram_core::head::{HeadKind, Threshold};
use bertram_core::loss::LossKind;
use bertram_core::task::{
    Inputs, LABEL_SEPARATOR, LabelKind, Legal, Metric, Preset, TaskId, TaskSpec, names,
};

use super::check::{PROBABILITY, is_probability, not_negative, optional_size, positive};
use super::source::Source;
use super::{DataSettings, ModelSettings, TaskSettings, loss as loss_keys, paths, rows};

/// The tasks whose sections are there; the paper's where there is none.
pub(super) fn tasks(
    s: &mut Source,
    model: &ModelSettings,
    data: &DataSettings,
) -> Vec<TaskSettings> {
    let named = named(s);
    for task in TaskId::PAPER.iter().chain(&named) {
        s.has_table(&format!("tasks.{task}"));
    }
    s.has_table("tasks");
    warn_of_lone_arguments(s, &named);
    let tasks = if named.is_empty() {
        TaskId::PAPER.to_vec()
    } else {
        named
    };
    tasks
        .into_iter()
        .filter_map(|id| {
            let spec = spec(s, id)?;
            Some(task(s, id, spec, model, data))
        })
        .collect()
}

/// The names of the sections, in the order in which the tasks come.
fn named(s: &mut Source) -> Vec<TaskId> {
    let mut named = Vec::new();
    for name in s.sections("tasks") {
        match TaskId::new(&name) {
            Ok(task) => named.push(task),
            Err(error) => {
                let section = format!("tasks.{name}");
                s.forgive(&section);
                s.problem_of_section(&section, error.to_string());
            }
        }
    }
    TaskId::in_order(named)
}

/// Says so where an argument made the only section, and others of the paper's tasks may be missed.
fn warn_of_lone_arguments(s: &mut Source, named: &[TaskId]) {
    let arguments: Vec<String> = named
        .iter()
        .filter_map(|task| s.section_of_argument(&format!("tasks.{task}")))
        .map(str::to_owned)
        .collect();
    if let Some(first) = arguments.first()
        && arguments.len() == named.len()
        && named.len() < TaskId::PAPER.len()
        && named.iter().all(|task| TaskId::PAPER.contains(task))
    {
        let names: Vec<&str> = named.iter().map(|task| task.name()).collect();
        s.warn(format!(
            "{first} makes a section of its own, and the config has none for other tasks: only {} is trained and scored; --set 'tasks={{sst={{}},para={{}},sts={{}}}}' before it names all",
            names.join(" and ")
        ));
    }
}

/// What a task is: its preset's facts, with those that are said over them; `None` where too little is said.
fn spec(s: &mut Source, task: TaskId) -> Option<Arc<TaskSpec>> {
    let key = |name: &str| format!("tasks.{task}.{name}");
    let preset = Preset::of(task).map(TaskSpec::from);
    let title = s.text(&key("title"));
    let inputs: Option<Inputs> = s.choice(&key("inputs"));
    let label = label(s, task);
    let metric: Option<Metric> = s.choice(&key("metric"));
    let inputs = inputs.or(preset.as_ref().map(|preset| preset.inputs));
    let has_label = label.is_some() || preset.is_some();
    let (Some(inputs), true) = (inputs, has_label) else {
        warn_of_own_task(s, task, inputs.is_some(), has_label);
        return None;
    };
    let mut spec = preset.unwrap_or_else(|| TaskSpec {
        title: task.name().to_owned(),
        inputs,
        label: LabelKind::Binary,
        labels: Vec::new(),
        metric: Metric::Accuracy,
        preset: None,
    });
    spec.inputs = inputs;
    match label {
        // Whether it is the preset would hang on the rows.
        Some((kind, labels)) if labels.is_empty() && !is_score(kind) && spec.preset.is_some() => s
            .problem(
                &key("labels"),
                format!(
                    "\"auto\" is for tasks of your own, and {task} is known by its name: list the labels, or call the task otherwise"
                ),
            ),
        Some((kind, labels)) => {
            if kind != spec.label || spec.preset.is_none() {
                spec.metric = Metric::of(kind)[0];
            }
            (spec.label, spec.labels) = (kind, labels);
            if spec.labels.is_empty() && is_score(kind) {
                spec.labels = vec![task.name().to_owned()];
            }
        }
        None => {}
    }
    // With other inputs or labels it is another task, and what the preset knows of files and rows is not true of it.
    let known = spec.preset.take();
    spec.preset = Preset::of_kind(task, spec.inputs, spec.label);
    if known.is_some() && spec.preset.is_none() {
        spec.title = task.name().to_owned();
    }
    spec.title = title.unwrap_or(spec.title);
    if let Some(metric) = metric {
        let allowed = Metric::of(spec.label);
        if allowed.contains(&metric) {
            spec.metric = metric;
        } else {
            s.problem(&key("metric"), format!("{task} takes {}", names(allowed)));
        }
    }
    Some(Arc::new(spec))
}

fn is_score(kind: LabelKind) -> bool {
    matches!(kind, LabelKind::Score { .. })
}

/// Notes what is not said of a task that is no preset. What is said and wrong has a problem of its own.
fn warn_of_own_task(s: &mut Source, task: TaskId, has_inputs: bool, has_label: bool) {
    let said = |s: &Source, names: &[&str]| {
        names
            .iter()
            .any(|name| s.is_said(&format!("tasks.{task}.{name}")))
    };
    let mut missing = Vec::new();
    if !has_inputs && !said(s, &["inputs"]) {
        missing.push("inputs = \"single\" or \"pair\"");
    }
    if !has_label && !said(s, &["labels", "binary", "score"]) {
        missing.push("its labels: labels = [\"...\", ...] or \"auto\", binary = [\"NO\", \"YES\"], or score = [LOWEST, HIGHEST]");
    }
    let section = format!("tasks.{task}");
    s.forgive(&section);
    if missing.is_empty() {
        return;
    }
    let known: Vec<&str> = Preset::names().map(TaskId::name).collect();
    s.problem_of_section(
        &section,
        format!(
            "is a task of your own (known by name are {}): say {}",
            known.join(", "),
            missing.join(", and ")
        ),
    );
}

/// The label kind that is said, and the names of the labels. No names of classes yet for `"auto"`.
fn label(s: &mut Source, task: TaskId) -> Option<(LabelKind, Vec<String>)> {
    let key = |name: &str| format!("tasks.{task}.{name}");
    let labels = s.labels(&key("labels"));
    let binary = s.labels(&key("binary"));
    let score = s.range(&key("score"));
    let multi = s.flag(&key("multi")).unwrap_or(false);
    if multi && labels.is_none() && !s.is_said(&key("labels")) {
        s.problem(
            &key("multi"),
            "means something only beside labels = [\"...\", ...] or \"auto\": rows may have any number of them",
        );
    }
    let said = [
        ("labels", labels.is_some()),
        ("binary", binary.is_some()),
        ("score", score.is_some()),
    ];
    let said: Vec<&str> = said
        .into_iter()
        .filter_map(|(name, said)| said.then_some(name))
        .collect();
    if let [first, second, ..] = said[..] {
        s.problem_between(
            &key(second),
            &key(first),
            format!(
                "stands beside tasks.{task}.{first}: a task has one of labels, binary and score"
            ),
        );
    }
    if let Some(labels) = labels {
        if labels.len() == 1 {
            s.problem(
                &key("labels"),
                "names one label; there must be two at least",
            );
        }
        if let Some(label) = labels
            .iter()
            .find(|label| multi && label.contains(LABEL_SEPARATOR))
        {
            s.problem(
                &key("labels"),
                format!("{label:?} has a {LABEL_SEPARATOR:?}, which stands between the labels of a row in tables"),
            );
        }
        let classes = labels.len();
        let kind = match multi {
            true => LabelKind::MultiLabel { classes },
            false => LabelKind::Classes { classes },
        };
        return Some((kind, labels));
    }
    if let Some(binary) = binary {
        if binary.len() != 2 {
            s.problem(
                &key("binary"),
                "takes two labels, that of no and that of yes: binary = [\"no\", \"yes\"]",
            );
        }
        return Some((LabelKind::Binary, binary));
    }
    let (min, max) = score?;
    Some((LabelKind::Score { min, max }, Vec::new()))
}

fn task(
    s: &mut Source,
    task: TaskId,
    spec: Arc<TaskSpec>,
    model: &ModelSettings,
    data: &DataSettings,
) -> TaskSettings {
    let key = |name: &str| format!("tasks.{task}.{name}");
    let legal = Legal::of(&spec);
    let head: HeadKind = s.choice(&key("head")).unwrap_or(legal.heads[0]);
    let loss: LossKind = s.choice(&key("loss")).unwrap_or(legal.losses[0]);
    let mut problem = legal.problem(task, head, loss);
    if let Some(("head", allowed)) = &problem {
        s.problem(&key("head"), allowed.clone());
        // The loss may be wrong besides.
        problem = legal.problem(task, legal.heads[0], loss);
    }
    if let Some((wrong, allowed)) = problem {
        s.problem(&key(wrong), allowed);
    }
    let threshold: Option<Threshold> = s.choice(&key("threshold"));
    let reads_logit = matches!(loss, LossKind::Bce | LossKind::Focal);
    if threshold.is_some() && !(head == HeadKind::Cosine && reads_logit) {
        s.problem(
            &key("threshold"),
            "means something only with head = \"cosine\" and loss = \"bce\" or \"focal\"",
        );
    }
    let margin = s.number(&key("margin"), "a number from -1 to below 1", |margin| {
        (-1.0..1.0).contains(&margin)
    });
    if margin.is_some() && loss != LossKind::CosineEmbedding {
        s.problem(
            &key("margin"),
            "means something only with loss = \"cosine-embedding\"",
        );
    }
    let loss_settings = loss_keys::settings(s, task, &spec, loss);
    let augment = rows::augment(s, task, &spec, head, loss);
    let label_shares = rows::label_shares(s, task, &spec);
    let columns = columns(s, task, &spec);
    let label_numbers = label_numbers(s, task, &spec);
    let path = |s: &mut Source, name: &str| paths::path(s, &key(name));
    let settings = TaskSettings {
        task,
        spec,
        head,
        loss,
        pooling: s.choice(&key("pooling")).unwrap_or(model.pooling),
        layer_mix: model.layer_mix,
        head_dropout: s
            .number(&key("head-dropout"), PROBABILITY, is_probability)
            .unwrap_or(model.head_dropout),
        threshold,
        margin,
        loss_settings,
        weight: s
            .number(&key("weight"), "a number above 0", positive)
            .unwrap_or(1.0),
        head_learning_rate: s.number(&key("head-learning-rate"), "a number above 0", positive),
        overall_weight: s.number(
            &key("overall-weight"),
            "a number of at least 0",
            not_negative,
        ),
        train_on: s.flag(&key("train-on")).unwrap_or(true),
        limit: s.limit(&key("limit")),
        batch_size: optional_size(s, &key("batch-size")),
        limit_draw: s.choice(&key("limit-draw")),
        augment,
        label_shares,
        train: path(s, "train"),
        dev: path(s, "dev"),
        test: path(s, "test"),
        format: s.choice(&key("format")),
        label_numbers,
        columns,
    };
    check_files(s, &settings, data);
    settings
}

/// Names of columns; `text` is that of a single sentence, `text-a` and `text-b` those of a pair.
fn columns(s: &mut Source, task: TaskId, spec: &TaskSpec) -> Columns {
    let key = |name: &str| format!("tasks.{task}.columns.{name}");
    let text = s.text(&key("text"));
    let text_a = s.text(&key("text-a"));
    let columns = Columns {
        id: s.text(&key("id")),
        text_b: s.text(&key("text-b")),
        label: s.text(&key("label")),
        weight: s.text(&key("weight")),
        text_a: text.clone().or(text_a.clone()),
    };
    let names = [
        ("id", &columns.id),
        ("text-b", &columns.text_b),
        ("label", &columns.label),
        ("weight", &columns.weight),
        ("text", &text),
        ("text-a", &text_a),
    ];
    for (name, _) in names.iter().filter(|(_, said)| said.as_deref() == Some("")) {
        s.problem(&key(name), "is empty, and names no column");
    }
    if text.is_some() && text_a.is_some() {
        s.problem(&key("text"), "stands beside text-a: keep one");
    } else if text.is_some() && spec.inputs == Inputs::Pair {
        s.problem(
            &key("text"),
            "is of single sentences; a pair has text-a and text-b",
        );
    } else if columns.text_b.is_some() && spec.inputs == Inputs::Single {
        s.problem(
            &key("text-b"),
            "is of pairs, and the task has single sentences",
        );
    }
    columns
}

/// What numbers in files mean; of labels that have names, and are no numbers themselves.
fn label_numbers(s: &mut Source, task: TaskId, spec: &TaskSpec) -> Option<LabelNumbers> {
    let key = format!("tasks.{task}.label-numbers");
    let said = s.choice(&key)?;
    let is_number = |name: &String| name.parse::<f32>().is_ok();
    if !spec.has_text_labels() || spec.labels.iter().any(is_number) {
        s.problem(
            &key,
            "means something only where labels have names that are no numbers",
        );
    }
    Some(said)
}

/// A task that is not the paper's has no generated rows, and its files must say what they are.
fn check_files(s: &mut Source, task: &TaskSettings, data: &DataSettings) {
    let name = task.task;
    if TaskId::PAPER.contains(&name) && task.spec.preset.is_some() {
        let generated = data.dir.is_none() && !task.names_files();
        if generated && task.columns.weight.is_some() {
            s.problem(
                &format!("tasks.{name}.columns.weight"),
                "names a column, and generated rows have none: name the data",
            );
        }
        return;
    }
    let auto = task.spec.labels.is_empty();
    if data.dir.is_none() && (task.train_on || auto) && task.train.is_none() {
        let what = match Preset::of(name).filter(|_| task.spec.preset.is_none()) {
            Some(preset) => format!(
                "with other inputs or labels this is not the {name} that is known by its name ({}), and has none of its rows: ",
                preset.title
            ),
            None => String::new(),
        };
        s.problem(
            &format!("tasks.{name}.train"),
            format!("is not said: {what}name the file of its training rows (and dev, to score it), or a folder with data.dir"),
        );
    }
    if task.spec.preset.is_some() {
        return;
    }
    for (split, path) in [
        ("train", &task.train),
        ("dev", &task.dev),
        ("test", &task.test),
    ] {
        if let (Some(path), None) = (path, task.format)
            && bertram_core::data::Format::of_ending(path).is_none()
        {
            s.problem(
                &format!("tasks.{name}.{split}"),
                format!(
                    "the ending of {} says no format (.csv, .tsv, .jsonl, .parquet do): say tasks.{name}.format = \"csv\", \"tsv\", \"tsv-quoted\", \"json-lines\" or \"parquet\"",
                    path.display()
                ),
            );
        }
    }
}
