//! Numbers as text, with a true minus sign.

use super::statistics::{Interval, Statistic};

/// What stands where there is no number.
pub(super) const NONE: &str = "–";

/// With three decimals: the paper's.
pub(super) fn score(number: f64) -> String {
    decimals(number, 3)
}

pub(super) fn decimals(number: f64, places: usize) -> String {
    minus(format!("{number:.places$}"))
}

/// With its sign.
pub(super) fn difference(number: f64) -> String {
    minus(format!("{number:+.3}"))
}

/// `−0.003 to +0.027`, of a difference.
pub(super) fn interval(interval: Interval) -> String {
    format!(
        "{} to {}",
        difference(interval.low),
        difference(interval.high)
    )
}

pub(super) fn optional(number: Option<f64>) -> String {
    number.map_or_else(|| NONE.into(), score)
}

/// `0.480 ± 0.012`; without a spread, of one number.
pub(super) fn statistic(statistic: Option<Statistic>) -> String {
    match statistic {
        None => NONE.into(),
        Some(Statistic { mean, sd: None, .. }) => score(mean),
        Some(Statistic {
            mean, sd: Some(sd), ..
        }) => format!("{} ± {sd:.3}", score(mean)),
    }
}

fn minus(text: String) -> String {
    // What rounds to zero has no sign.
    if text
        .trim_start_matches(['-', '+'])
        .chars()
        .all(|c| "0.".contains(c))
    {
        return text.trim_start_matches(['-', '+']).to_owned();
    }
    text.replace('-', "−")
}

/// A duration for people.
pub(super) fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 seed", "3 seeds".
pub(super) fn of(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    }
}

/// A text with a capital first letter, as a heading.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_a_paper() {
        assert_eq!(score(-0.033), "−0.033");
        assert_eq!(score(-0.0001), "0.000");
        assert_eq!(difference(0.0204), "+0.020");
        assert_eq!(statistic(Statistic::new(&[0.4, 0.5])), "0.450 ± 0.071");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(
            (seconds(5.25), seconds(61.0)),
            ("5.2 s".into(), "1 min 01 s".into())
        );
    }
}
