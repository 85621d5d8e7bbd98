//! Effects as contrasts of cell means.

use super::grid::{Cell, Factor};

/// An effect as a linear combination of cell means.
pub(super) struct Contrast {
    /// Names of its factors.
    pub(super) factors: Vec<String>,
    /// The levels compared.
    pub(super) label: String,
    /// The weight of each cell's mean; they sum to zero.
    pub(super) coefficients: Vec<f64>,
}

/// One factor's share of a contrast: a level against the factor's baseline.
#[derive(Clone, Copy)]
struct Part<'a> {
    factor: &'a str,
    level: &'a str,
    baseline: &'a str,
}

/// Main effects, then two-way interactions.
pub(super) fn contrasts(cells: &[Cell], factors: &[Factor]) -> Vec<Contrast> {
    let parts: Vec<Part> = factors
        .iter()
        .filter_map(|factor| Some((factor, factor.levels.split_first()?)))
        .flat_map(|(factor, (baseline, levels))| {
            levels.iter().map(move |level| Part {
                factor: &factor.name,
                level,
                baseline,
            })
        })
        .collect();
    let mains = parts.iter().map(|&part| contrast(cells, &[part]));
    let pairs = parts.iter().enumerate().flat_map(|(i, &a)| {
        let later = parts[i + 1..].iter().filter(move |b| b.factor != a.factor);
        later.map(move |&b| contrast(cells, &[a, b]))
    });
    mains.chain(pairs).collect()
}

/// The mean of the cells whose signs multiply to +1 minus that of those at -1, a part's level being + and its baseline -.
///
/// For two parts that is half the difference of differences.
fn contrast(cells: &[Cell], parts: &[Part]) -> Contrast {
    let sign = |cell: &Cell| -> f64 {
        let sign = |part: &Part| match cell.get(part.factor).map(String::as_str) {
            Some(level) if level == part.level => 1.0,
            Some(level) if level == part.baseline => -1.0,
            _ => 0.0,
        };
        parts.iter().map(sign).product()
    };
    let signs: Vec<f64> = cells.iter().map(sign).collect();
    let compared = signs.iter().filter(|&&sign| sign != 0.0).count() as f64;
    let labels: Vec<String> = parts
        .iter()
        .map(|part| format!("{} vs {}", part.level, part.baseline))
        .collect();
    Contrast {
        factors: parts.iter().map(|part| part.factor.to_owned()).collect(),
        label: labels.join(" × "),
        coefficients: signs.iter().map(|sign| 2.0 * sign / compared).collect(),
    }
}
