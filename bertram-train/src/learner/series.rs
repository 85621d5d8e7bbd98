//! What the dashboard shows: named series of numbers, as burn-train metrics.
//!
//! burn-train averages a metric over batches, which is wrong for a correlation and for a task that is not in every
//! update. Here a series shows the number it is given and nothing else; an update without a number for it is skipped
//! (see [`super::dashboard`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::train::ItemLazy;
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes,
    NumericEntry, SerializedEntry,
};

/// Numbers by series name; shared, since every series reads the same item.
#[derive(Clone, Debug, Default)]
pub struct SeriesItem(pub Arc<BTreeMap<String, f64>>);

impl ItemLazy for SeriesItem {
    type ItemSync = SeriesItem;

    fn sync(self) -> SeriesItem {
        self
    }
}

impl Adaptor<SeriesItem> for SeriesItem {
    fn adapt(&self) -> SeriesItem {
        self.clone()
    }
}

/// One named series.
#[derive(Clone, Debug)]
pub struct Series {
    name: Arc<String>,
    unit: Option<&'static str>,
    higher_is_better: bool,
    value: f64,
}

impl Series {
    /// A series that reads the number called `name`.
    pub fn new(
        name: impl Into<String>,
        unit: Option<&'static str>,
        higher_is_better: bool,
    ) -> Self {
        Self {
            name: Arc::new(name.into()),
            unit,
            higher_is_better,
            value: f64::NAN,
        }
    }
}

/// Four significant digits, and no exponent where it can be read without one.
pub(super) fn format_number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        format!("{value:.0}")
    } else if magnitude >= 0.001 {
        let decimals = (3 - magnitude.log10().floor() as i32).clamp(0, 6) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.2e}")
    }
}

impl Metric for Series {
    type Input = SeriesItem;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: self.unit.map(str::to_owned),
            higher_is_better: self.higher_is_better,
        }
        .into()
    }

    fn update(&mut self, item: &SeriesItem, _metadata: &MetricMetadata) -> SerializedEntry {
        self.value = item.0.get(self.name.as_str()).copied().unwrap_or(f64::NAN);
        let number = format_number(self.value);
        let formatted = match self.unit {
            Some(unit) => format!("{number} {unit}"),
            None => number,
        };
        SerializedEntry::new(formatted, self.value.to_string())
    }

    fn clear(&mut self) {
        self.value = f64::NAN;
    }
}

impl Numeric for Series {
    fn value(&self) -> NumericEntry {
        NumericEntry::Value(self.value)
    }

    fn running_value(&self) -> NumericEntry {
        self.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.23456, "1.235"),
            (12.3456, "12.35"),
            (-0.5, "-0.5000"),
            (12345.6, "12346"),
            (0.00001, "1.00e-5"),
        ] {
            assert_eq!(format_number(value), text);
        }
    }
}
