//! `[regulariser.*]`: a section that is there is switched on; a weight of 0 switches it off again.

use bertram_core::task::TaskId;
use bertram_kernels::Precision;

use super::check::{not_negative, positive, size_up_to};
use super::source::Source;
use crate::regulariser::{
    BregmanConfig, PerturbationNorm, RDropConfig, RegulariserSettings, SmartConfig, SmartVariant,
};

pub(super) fn regulariser(s: &mut Source, trained: &[TaskId]) -> RegulariserSettings {
    s.has_table("regulariser");
    RegulariserSettings {
        smart: smart(s, trained),
        r_drop: r_drop(s, trained),
        bregman: bregman(s, trained),
    }
}

/// Most ascent steps: each is a pass through the model.
const MOST_STEPS: usize = 10_000;

const SHARE: &str = "a share from 0 to 1";

fn is_share(number: f64) -> bool {
    (0.0..=1.0).contains(&number)
}

/// The tasks of a regulariser: those said, which must be trained; else those of `default` that are, and where tasks are
/// trained that the paper does not have, all of them.
fn tasks(s: &mut Source, section: &str, trained: &[TaskId], default: &[TaskId]) -> Vec<TaskId> {
    let key = format!("{section}.tasks");
    let Some(said) = s.choices::<TaskId>(&key) else {
        if trained.iter().any(|task| !TaskId::PAPER.contains(task)) {
            return trained.to_vec();
        }
        let both = default.iter().filter(|task| trained.contains(task));
        return both.copied().collect();
    };
    for task in said.iter().filter(|task| !trained.contains(task)) {
        if s.is_forgiven(&format!("tasks.{task}")) {
            continue;
        }
        s.problem(
            &key,
            format!("{task} is not trained: there is no [tasks.{task}]"),
        );
    }
    if said.is_empty() {
        s.problem(
            &key,
            "names no task; leave the section out to switch it off",
        );
    }
    said
}

fn weight(s: &mut Source, key: &str, default: f64) -> f64 {
    s.number(key, "a number of at least 0", not_negative)
        .unwrap_or(default)
}

fn smart(s: &mut Source, trained: &[TaskId]) -> Option<SmartConfig> {
    let there = s.has_table("regulariser.smart");
    let default = SmartConfig::default();
    let variant = s.choice("regulariser.smart.variant");
    let epsilon = s.number("regulariser.smart.epsilon", "a number above 0", positive);
    if variant == Some(SmartVariant::MtDnn) && epsilon.is_some() {
        s.problem(
            "regulariser.smart.epsilon",
            "means nothing with variant = \"mt-dnn\", which ends near norm 1",
        );
    }
    let mut length = |name: &str, default| {
        s.number(
            &format!("regulariser.smart.{name}"),
            "a number above 0",
            positive,
        )
        .unwrap_or(default)
    };
    let (sigma, eta) = (length("sigma", default.sigma), length("eta", default.eta));
    let config = SmartConfig {
        tasks: tasks(s, "regulariser.smart", trained, &default.tasks),
        variant: variant.unwrap_or(default.variant),
        norm: s
            .choice("regulariser.smart.norm")
            .unwrap_or(PerturbationNorm::Linf),
        steps: size_up_to(s, "regulariser.smart.steps", default.steps, MOST_STEPS),
        epsilon: match variant {
            Some(SmartVariant::MtDnn) => None,
            _ => epsilon.or(default.epsilon),
        },
        sigma,
        eta,
        lambda: weight(s, "regulariser.smart.lambda", default.lambda),
    };
    there.then_some(config)
}

/// Whether a perturbation is large enough to be seen in half precision.
///
/// LayerNorm makes hidden states of a size around 1. What is added to them is rounded to the distance of 1 to the next number;
/// over thousands of numbers, an eighth of that distance still gives the penalty of f32, and a hundredth gives that of the
/// rounding.
pub(super) fn check_precision(
    s: &mut Source,
    settings: &RegulariserSettings,
    precision: Precision,
) {
    if let Some(smart) = &settings.smart
        && smart.variant == SmartVariant::Paper
        && smart.lambda > 0.0
        && precision != Precision::F32
        && perturbation_size(smart) < precision.resolution() / 16.0
    {
        s.problem_between(
            "train.precision",
            "regulariser.smart.epsilon",
            format!(
                "{} has steps of {:.1e} around 1, in which SMART's perturbation of at most {:.1e} is lost: use f32, larger values of both epsilon and eta in [regulariser.smart], or variant = \"mt-dnn\"",
                precision.name(),
                precision.resolution(),
                perturbation_size(smart)
            ),
        );
    }
}

/// About how large a number of a perturbation of the `paper` variant can become: it starts at `sigma`, goes `eta` a step, and
/// is kept within `epsilon`.
fn perturbation_size(smart: &SmartConfig) -> f64 {
    let reach = smart.sigma + smart.steps as f64 * smart.eta;
    let radius = smart.epsilon.map_or(reach, |epsilon| reach.min(epsilon));
    match smart.norm {
        PerturbationNorm::Linf => radius,
        // An example has ten thousand numbers or more, over which the norm is spread.
        PerturbationNorm::L2 => radius / 100.0,
    }
}

fn r_drop(s: &mut Source, trained: &[TaskId]) -> Option<RDropConfig> {
    let there = s.has_table("regulariser.r-drop");
    let default = RDropConfig::default();
    let config = RDropConfig {
        tasks: tasks(s, "regulariser.r-drop", trained, &default.tasks),
        alpha: weight(s, "regulariser.r-drop.alpha", default.alpha),
    };
    there.then_some(config)
}

fn bregman(s: &mut Source, trained: &[TaskId]) -> Option<BregmanConfig> {
    let there = s.has_table("regulariser.bregman");
    let default = BregmanConfig::default();
    let beta = s.number("regulariser.bregman.beta", SHARE, is_share);
    let config = BregmanConfig {
        tasks: tasks(s, "regulariser.bregman", trained, &default.tasks),
        mu: weight(s, "regulariser.bregman.mu", default.mu),
        // A decay that is said holds for the whole run, unless the later one is said, too.
        late_beta: s
            .number("regulariser.bregman.late-beta", SHARE, is_share)
            .unwrap_or(beta.unwrap_or(default.late_beta)),
        beta: beta.unwrap_or(default.beta),
        late_from: s
            .number("regulariser.bregman.late-from", SHARE, is_share)
            .unwrap_or(default.late_from),
    };
    there.then_some(config)
}
