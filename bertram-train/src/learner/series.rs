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
    higher_is_better: bool,
    value: f64,
}

impl Series {
    /// A series that reads the number called `name`.
    pub fn new(name: impl Into<String>, higher_is_better: bool) -> Self {
        Self {
            name: Arc::new(name.into()),
            higher_is_better,
            value: f64::NAN,
        }
    }
}

impl Metric for Series {
    type Input = SeriesItem;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: None,
            higher_is_better: self.higher_is_better,
        }
        .into()
    }

    fn update(&mut self, item: &SeriesItem, _metadata: &MetricMetadata) -> SerializedEntry {
        self.value = item.0.get(self.name.as_str()).copied().unwrap_or(f64::NAN);
        let number = self.value.to_string();
        SerializedEntry::new(number.clone(), number)
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
