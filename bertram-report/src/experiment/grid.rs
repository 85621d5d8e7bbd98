//! Factorial designs: the full grid of some factors' levels, and the half of it that costs half the runs.
//!
//! Source: G. E. P. Box, J. S. Hunter and W. G. Hunter, *Statistics for Experimenters*, 2nd edition (2005), chapters 5 and 6.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One combination of levels: factor name to level.
pub type Cell = BTreeMap<String, String>;

/// Something an ablation changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// Name, as in `smart`.
    pub name: String,
    /// Levels, as in `off`, `on`; the first is the baseline that the others are compared with.
    pub levels: Vec<String>,
}

impl Factor {
    /// A factor called `name` with these levels, the baseline first.
    pub fn new<L: Into<String>>(
        name: impl Into<String>,
        levels: impl IntoIterator<Item = L>,
    ) -> Self {
        Self {
            name: name.into(),
            levels: levels.into_iter().map(Into::into).collect(),
        }
    }
}

/// Which cells an ablation runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Design {
    /// Every combination of levels: [`full_factorial`].
    #[default]
    Full,
    /// Half of the combinations of two-level factors: [`half_fraction`].
    Half,
}

impl Design {
    /// The cells of this design.
    ///
    /// # Errors
    /// Factors that make no grid (see [`check_factors`]), or none that can be halved.
    pub fn cells(self, factors: &[Factor]) -> Result<Vec<Cell>, GridError> {
        check_factors(factors)?;
        match self {
            Self::Full => Ok(full_factorial(factors)),
            Self::Half => half_fraction(factors),
        }
    }

    /// Effects that this design cannot tell from the effect of `effect` (one factor: its main effect; several: their
    /// interaction), each by its factors in the order of `factors`.
    ///
    /// Empty in a full factorial; in a half fraction the one interaction, or main effect, of all the other factors.
    pub fn aliases(self, factors: &[Factor], effect: &[String]) -> Vec<Vec<String>> {
        match self {
            Self::Full => Vec::new(),
            Self::Half => vec![
                factors
                    .iter()
                    .map(|factor| factor.name.clone())
                    .filter(|name| !effect.contains(name))
                    .collect(),
            ],
        }
    }
}

/// Why factors make no design.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GridError {
    /// An empty list of factors.
    #[error("no factors: name at least one thing to change")]
    NoFactors,
    /// A factor with nothing to compare.
    #[error("factor `{factor}` has {levels} level(s): give a baseline and at least one other")]
    TooFewLevels {
        /// Name of the factor, as `--factors` has it.
        factor: String,
        /// How many levels it has.
        levels: usize,
    },
    /// Two factors of one name.
    #[error("factor `{factor}` is named twice: name each factor once")]
    RepeatedFactor {
        /// Name that is there twice.
        factor: String,
    },
    /// Two levels of one name.
    #[error("factor `{factor}` has the level `{level}` twice: name each level once")]
    RepeatedLevel {
        /// Name of the factor, as `--factors` has it.
        factor: String,
        /// The level of the factor that the message is about.
        level: String,
    },
    /// A half fraction of a factor with more than two levels.
    #[error(
        "factor `{factor}` has {levels} levels, a half fraction needs two in each: drop levels or run the full grid"
    )]
    NotTwoLevels {
        /// Name of the factor, as `--factors` has it.
        factor: String,
        /// How many levels it has.
        levels: usize,
    },
    /// A half fraction of two factors would confuse their main effects with each other.
    #[error("a half fraction needs three or more factors, there are {factors}: run the full grid")]
    TooFewFactors {
        /// How many factors there are.
        factors: usize,
    },
}

/// Whether factors make a grid: at least one, names unique, two or more levels each, level names unique.
///
/// # Errors
/// Names the first factor that does not fit.
pub fn check_factors(factors: &[Factor]) -> Result<(), GridError> {
    if factors.is_empty() {
        return Err(GridError::NoFactors);
    }
    let mut names = BTreeSet::new();
    for factor in factors {
        if !names.insert(&factor.name) {
            return Err(GridError::RepeatedFactor {
                factor: factor.name.clone(),
            });
        }
        if factor.levels.len() < 2 {
            return Err(GridError::TooFewLevels {
                factor: factor.name.clone(),
                levels: factor.levels.len(),
            });
        }
        let mut levels = BTreeSet::new();
        if let Some(level) = factor.levels.iter().find(|level| !levels.insert(*level)) {
            return Err(GridError::RepeatedLevel {
                factor: factor.name.clone(),
                level: level.clone(),
            });
        }
    }
    Ok(())
}

/// Every combination of levels, all baselines first, the last factor changing fastest.
///
/// No factors give the one empty cell; a factor without levels gives no cells.
pub fn full_factorial(factors: &[Factor]) -> Vec<Cell> {
    factors.iter().fold(vec![Cell::new()], |cells, factor| {
        cells
            .iter()
            .flat_map(|cell| {
                factor.levels.iter().map(|level| {
                    let mut cell = cell.clone();
                    cell.insert(factor.name.clone(), level.clone());
                    cell
                })
            })
            .collect()
    })
}

/// The regular 2^(k-1) design of `k` two-level factors, of resolution `k`, in the order of [`full_factorial`].
///
/// Its defining relation is the product of all factors, the longest word there is: the cells are those with an *even*
/// number of factors away from their baseline. Of the two halves this is the one that holds the run with no change at
/// all, which every table wants. With the baseline coded -1 and the other level +1 the relation is `I = AB...K` for an
/// even `k` and `I = -AB...K` for an odd one.
///
/// # Aliases
/// An effect cannot be told from that of all the *other* factors: what is estimated is the effect plus (even `k`) or
/// minus (odd `k`) its alias, on the scale of [`effects`](super::effects()).
///
/// - A main effect is aliased with the (k-1)-way interaction of the others.
/// - `k = 3` (resolution III): every main effect with the two-way interaction of the other two, so that `A` is `A - BC`.
///   Two-way interactions say nothing of their own. Use it only where interactions can be taken for absent.
/// - `k = 4` (resolution IV): main effects with three-way interactions, two-way interactions with each other in pairs:
///   `AB + CD`, `AC + BD`, `AD + BC`.
/// - `k >= 5` (resolution V and up): main effects and two-way interactions are only aliased with three-way and higher ones.
///
/// # Errors
/// Fewer than three factors, a factor that has not two levels, or factors that make no grid ([`check_factors`]).
pub fn half_fraction(factors: &[Factor]) -> Result<Vec<Cell>, GridError> {
    check_factors(factors)?;
    if let Some(factor) = factors.iter().find(|factor| factor.levels.len() != 2) {
        return Err(GridError::NotTwoLevels {
            factor: factor.name.clone(),
            levels: factor.levels.len(),
        });
    }
    if factors.len() < 3 {
        return Err(GridError::TooFewFactors {
            factors: factors.len(),
        });
    }
    let mut cells = full_factorial(factors);
    cells.retain(|cell| {
        let changed = factors
            .iter()
            .filter(|factor| cell.get(&factor.name) != factor.levels.first());
        changed.count() % 2 == 0
    });
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches(k: usize) -> Vec<Factor> {
        (0..k)
            .map(|i| Factor::new(format!("f{i}"), ["off", "on"]))
            .collect()
    }

    fn sign(cell: &Cell, factor: &Factor) -> i32 {
        if cell[&factor.name] == factor.levels[0] {
            -1
        } else {
            1
        }
    }

    #[test]
    fn full_factorial_counts_like_an_odometer() {
        let factors = [
            Factor::new("a", ["0", "1"]),
            Factor::new("b", ["x", "y", "z"]),
        ];
        let cells: Vec<String> = full_factorial(&factors)
            .iter()
            .map(|cell| format!("{}{}", cell["a"], cell["b"]))
            .collect();
        assert_eq!(cells, ["0x", "0y", "0z", "1x", "1y", "1z"]);
        assert_eq!(full_factorial(&[]), [Cell::new()]);
    }

    #[test]
    fn half_fraction_is_balanced_orthogonal_and_of_full_resolution() {
        for k in 3..=6 {
            let factors = switches(k);
            let cells = half_fraction(&factors).unwrap();
            assert_eq!(cells.len(), 1 << (k - 1));
            assert!(cells[0].values().all(|level| level == "off"));
            let product = |subset: usize| -> i32 {
                let column = |cell| {
                    (0..k)
                        .filter(|i| subset >> i & 1 == 1)
                        .map(|i| sign(cell, &factors[i]))
                        .product::<i32>()
                };
                cells.iter().map(column).sum()
            };
            // Balance (single factors), orthogonality (pairs), and no shorter defining word: every product of columns
            // sums to zero but that of all.
            let all = (1 << k) - 1;
            assert!((1..all).all(|subset| product(subset) == 0));
            assert_eq!(product(all).unsigned_abs() as usize, cells.len());
        }
    }

    #[test]
    fn aliases_are_the_other_factors() {
        let names = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let (three, four) = (switches(3), switches(4));
        let half = Design::Half;
        assert_eq!(
            half.aliases(&three, &names(&["f1"])),
            [names(&["f0", "f2"])]
        );
        assert_eq!(
            half.aliases(&four, &names(&["f0", "f3"])),
            [names(&["f1", "f2"])]
        );
        assert!(Design::Full.aliases(&four, &names(&["f0"])).is_empty());
    }

    #[test]
    fn says_what_is_wrong_with_factors() {
        let message = |factors: &[Factor]| Design::Half.cells(factors).unwrap_err().to_string();
        assert!(message(&[]).contains("no factors"));
        assert!(message(&switches(2)).contains("three or more factors, there are 2"));
        let mut factors = switches(3);
        factors[1].levels.push("more".into());
        assert!(message(&factors).contains("`f1` has 3 levels"));
        factors[1].levels.truncate(1);
        assert!(message(&factors).contains("`f1` has 1 level(s)"));
        factors[1].levels.push("off".into());
        assert!(message(&factors).contains("`off` twice"));
        factors[1].name = "f0".into();
        assert!(message(&factors).contains("`f0` is named twice"));
    }
}
