//! Searches: their trials, and what they say of the keys.

use bertram_train::config::{Scale as DrawnScale, SearchMethod};
use bertram_train::search::{SearchRecord, SearchedKey, TrialRecord, TrialState};
use serde_json::Value;

use crate::chart::{ParallelCoordinates, Scale, Thing};
use crate::document::{Block, Figure, Mark, Section, Table};
use crate::number::{self, NONE};
use crate::search::Search;
use crate::{Report, ReportError};

/// Trials that a table shows at once; all are in `trials.csv`.
const MOST_ROWS: usize = 30;

/// Fewer trials than these say little of which key matters.
const FEW: usize = 20;

/// The searches that the runs are trials of; `None` where there is none.
pub(super) fn search(report: &Report) -> Result<Option<Section>, ReportError> {
    let mut blocks = Vec::new();
    for search in &report.searches {
        blocks.extend(of_one(search, report.searches.len() > 1)?);
    }
    Ok((!blocks.is_empty()).then(|| Section {
        id: "search",
        heading: "Search".into(),
        blocks,
    }))
}

fn of_one(search: &Search, is_named: bool) -> Result<Vec<Block>, ReportError> {
    let record = &search.record;
    let mut blocks = vec![Block::text(about(search, is_named))];
    if record.ranked().iter().any(|trial| trial.score.is_some()) {
        blocks.push(Block::text(format!(
            "The best score of {} is probably higher than the same model would have on rows that chose nothing: it is the largest of many \
             numbers, each with its share of luck (Cawley & Talbot, On Over-fitting in Model Selection and Subsequent Selection \
             Bias in Performance Evaluation, JMLR 2010). Report it on other rows.",
            number::of(record.trials.len(), "trial")
        )));
        blocks.push(picture(search)?);
    }
    blocks.extend(trials(record));
    blocks.extend(importance(search));
    Ok(blocks)
}

fn about(search: &Search, is_named: bool) -> String {
    let record = &search.record;
    let keys = number::of(record.keys.len(), "key");
    let which = match is_named {
        true => format!("{}: ", search.path.display()),
        false => String::new(),
    };
    let how = match record.method {
        SearchMethod::Random => {
            "random search (Bergstra & Bengio, JMLR 2012): each is trained to its end".to_owned()
        }
        SearchMethod::Asha => {
            let (_, rungs) = record.rungs.split_last().unwrap_or((&0, &[]));
            let epochs = match rungs {
                [only] => number::of(*only, "epoch"),
                several => {
                    let several: Vec<String> = several.iter().map(usize::to_string).collect();
                    format!("{} epochs", several.join(" or "))
                }
            };
            format!(
                "asynchronous successive halving (ASHA: Li et al., MLSys 2020): of those that have made {epochs}, the best 1/{} go \
                 on",
                record.reduction_factor.unwrap_or(1)
            )
        }
    };
    let in_state = |state| {
        let trials = record.trials.iter();
        trials.filter(|trial| trial.state == state).count()
    };
    let states = [
        TrialState::Finished,
        TrialState::Stopped,
        TrialState::Training,
        TrialState::Waiting,
        TrialState::Diverged,
        TrialState::Failed,
    ];
    let states = states.map(|state| (in_state(state), state.name()));
    let states: Vec<String> = states
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    format!(
        "{which}{} that draw {keys}, by {how}. Compared by {} on dev, the best of a trial's epochs. {}.",
        number::of(record.trials.len(), "trial"),
        record.metric,
        states.join(", ")
    )
}

/// The trials by their scores.
fn trials(record: &SearchRecord) -> Vec<Block> {
    let ranked = record.ranked();
    let rows = |trials: &[&TrialRecord], first: usize, caption: String| {
        let columns = ["#Rank", "Trial", "#Score", "#Epochs", "State"].map(str::to_owned);
        let keys = record.keys.iter().map(|key| match key.numeric {
            true => format!("#{}", key.key),
            false => key.key.clone(),
        });
        let mut table = Table::new(caption, columns.into_iter().chain(keys));
        for (place, trial) in trials.iter().enumerate() {
            let rank = trial.score.map(|_| (first + place + 1).to_string());
            let start = [
                rank.unwrap_or_else(|| NONE.into()),
                trial.folder.clone(),
                number::optional(trial.score),
                trial.epochs.to_string(),
                trial.state.name().to_owned(),
            ];
            let values = (0..record.keys.len()).map(|key| trial.shown(key));
            let mark = match rank_is_first(first + place, trial) {
                true => Mark::Best,
                false => Mark::Plain,
            };
            table.marked(mark, start.into_iter().chain(values));
        }
        table
    };
    let shown = ranked.len().min(MOST_ROWS);
    let table = rows(
        &ranked[..shown],
        0,
        "Trials by their best score on dev so far, and the epochs that they made.".into(),
    );
    let mut blocks = vec![Block::table(table)];
    if shown < ranked.len() {
        let others = rows(&ranked[shown..], shown, "Further trials.".into());
        blocks.push(Block::Details {
            summary: format!("The other {} trials", ranked.len() - shown),
            blocks: vec![Block::table(others)],
        });
    }
    blocks
}

fn rank_is_first(place: usize, trial: &TrialRecord) -> bool {
    place == 0 && trial.score.is_some()
}

/// Parallel coordinates of the trials: a scale for each key, and one for the score.
fn picture(search: &Search) -> Result<Block, ReportError> {
    let record = &search.record;
    let scored: Vec<(&TrialRecord, f64)> = record
        .ranked()
        .into_iter()
        .filter_map(|trial| Some((trial, trial.score?)))
        .collect();
    let best = scored.len().div_ceil(10);
    let scores = scored.iter().map(|(_, score)| *score);
    let low = scores.clone().fold(f64::INFINITY, f64::min);
    let high = scores.fold(f64::NEG_INFINITY, f64::max);
    let of_score = |score: f64| match high > low {
        true => (score - low) / (high - low),
        false => 1.0,
    };
    let mut ends = vec![(0.0, number::score(low)), (1.0, number::score(high))];
    if high <= low {
        ends.remove(0);
    }
    let mut scales: Vec<Scale> = record.keys.iter().map(scale).collect();
    scales.push(Scale {
        label: format!("{} on dev", record.metric),
        ticks: ends,
    });
    // The best last, so that they lie on top.
    let things = scored
        .iter()
        .enumerate()
        .rev()
        .map(|(place, (trial, score))| {
            let keys = record.keys.iter().zip(&trial.values);
            let places = keys.map(|(key, value)| place_of(key, value));
            Thing {
                places: places.chain([of_score(*score)]).collect(),
                stands_out: place < best,
            }
        });
    let chart = ParallelCoordinates {
        title: format!("{} over what they drew", number::of(scored.len(), "trial")),
        things: things.collect(),
        scales,
    };
    let note = match scored.len() - best {
        0 => "A line is a trial, from what it drew to its score.".to_owned(),
        _ => format!(
            "A line is a trial, from what it drew to its score; the best {} in colour. Where the coloured lines lie together on \
             a scale, good trials drew alike.",
            if best == 1 {
                "one".to_owned()
            } else {
                best.to_string()
            }
        ),
    };
    Ok(Block::Figures {
        note,
        legend: Vec::new(),
        figures: vec![Figure {
            title: "Trials".into(),
            note: String::new(),
            svg: chart.svg()?,
        }],
        tables: Vec::new(),
    })
}

fn scale(key: &SearchedKey) -> Scale {
    let shown = |number: f64| {
        let text = number.to_string();
        // What is long in digits is short with an exponent.
        if text.len() > 7 {
            format!("{number:e}")
        } else {
            text
        }
    };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let ticks = match key.range {
        Some([min, max]) => vec![(0.0, shown(min)), (1.0, shown(max))],
        None => key
            .choices
            .iter()
            .map(|value| (place_of(key, value), text(value)))
            .collect(),
    };
    let log = match key.scale {
        DrawnScale::Log => " (log)",
        DrawnScale::Linear => "",
    };
    Scale {
        label: format!("{}{log}", key.key),
        ticks,
    }
}

/// Where a value lies on its key's scale, from 0 to 1: listed values stand side by side.
fn place_of(key: &SearchedKey, value: &Value) -> f64 {
    let Some([min, max]) = key.range else {
        let index = key.choices.iter().position(|choice| choice == value);
        let last = key.choices.len().saturating_sub(1);
        return match last {
            0 => 0.5,
            last => index.unwrap_or(0) as f64 / last as f64,
        };
    };
    let number = value.as_f64().unwrap_or(min);
    match key.scale {
        DrawnScale::Linear => (number - min) / (max - min),
        DrawnScale::Log => (number / min).ln() / (max / min).ln(),
    }
}

/// How much of the scores each key explains.
fn importance(search: &Search) -> Vec<Block> {
    let mut all = search.importance();
    let Some(first) = all.first() else {
        return Vec::new();
    };
    let trials = first.trials;
    if trials < 3 {
        return Vec::new();
    }
    let when = match (search.record.method, search.record.rungs.first()) {
        (SearchMethod::Asha, Some(epochs)) => {
            format!(
                " (after {}, where all can be compared)",
                number::of(*epochs, "epoch")
            )
        }
        _ => String::new(),
    };
    let mut text = format!(
        "How much of the variance of the scores{when} a key explains by itself: of numbers the square of Spearman's rho (ranks, \
         so that it does not matter how they are spread), else eta squared, the correlation ratio (the variance between the means \
         of the values' trials). A key that has nothing to do with the scores has the share \"by chance\" on average. Not in it: \
         what a key does only together with another, and, of numbers, a best value in the middle.",
    );
    if trials < FEW {
        text.push_str(&format!(
            " These are {trials} trials: too few to tell keys apart by it, unless the shares are far from those by chance."
        ));
    }
    all.sort_by(|one, other| {
        let share = |share: Option<f64>| share.unwrap_or(-1.0);
        share(other.share).total_cmp(&share(one.share))
    });
    let mut table = Table::new(
        "Share of the variance of the trials' scores that a key explains alone.",
        ["Key", "Measure", "#Share", "#By chance", "#Trials"],
    );
    let share = |share: f64| number::decimals(share, 2);
    for key in all {
        table.row([
            key.key,
            key.measure.name().to_owned(),
            key.share.map_or_else(|| NONE.into(), share),
            share(key.by_chance.min(1.0)),
            key.trials.to_string(),
        ]);
    }
    vec![Block::text(text), Block::table(table)]
}
