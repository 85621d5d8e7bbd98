//! A regulariser of one's own, beside those that the config names.
//!
//!     cargo run -p bertram-examples --example own_regulariser

use bertram_examples::{TINY, begin, complete};
use bertram_train::config::Settings;
use bertram_train::measure::{MeasureKind, Measured};
use bertram_train::regulariser::{Classifier, ForwardPass, Penalty, Regulariser};
use burn::tensor::backend::AutodiffBackend;

/// Keeps logits small.
struct SmallLogits;

/// Goes into `metrics.jsonl` beside the term, and onto the dashboard.
const LARGEST: MeasureKind = MeasureKind::mean("largest_logit");

impl<B: AutodiffBackend> Regulariser<B> for SmallLogits {
    fn name(&self) -> &'static str {
        "small_logits"
    }

    fn weight(&self) -> f64 {
        0.01
    }

    fn penalty(&self, _model: &dyn Classifier<B>, forward: &ForwardPass<B>) -> Penalty<B> {
        let logits = &forward.logits;
        Penalty {
            value: logits.clone().square().mean(),
            measures: vec![LARGEST.of(logits.clone().inner().abs().max())],
        }
    }

    fn measures(&self) -> &'static [MeasureKind] {
        &[LARGEST]
    }

    fn warnings(&self, measured: &Measured<'_>) -> Vec<String> {
        let large = measured.get(LARGEST).filter(|largest| *largest > 100.0);
        large.iter().map(|it| format!("a logit is {it}")).collect()
    }
}

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut session = begin(
        Settings::from_text("the example", TINY, &[])?,
        folder.path(),
    )?;
    for task in &session.settings.tasks {
        let regulariser = Box::new(SmallLogits);
        session.methods.add_regulariser(task.task, regulariser);
    }
    let metrics = session.run.metrics();
    complete(session)?;
    let log = std::fs::read_to_string(metrics)?;
    let mut lines = log.lines();
    println!("{:?}", lines.find(|line| line.contains("small_logits")));
    Ok(())
}
