//! What the examples share: a backend, settings that take a second or two, and the two ends of a run.
//!
//! What trains is compiled for the backend here, once for all of them.

use std::path::Path;
use std::time::Instant;

use bertram_train::config::Settings;
use bertram_train::device::DeviceName;
use bertram_train::learner::{Dashboard, StopFlag, TrainingSession, train};
use bertram_train::phase::PhaseClock;
use bertram_train::pipeline::{self, Place};
use bertram_train::run_folder::RunFolder;
use burn::backend::{Autodiff, Flex};

/// The CPU.
pub type Cpu = Autodiff<Flex>;

/// The demo corpus and a model, both tiny. Every update takes one batch of each task.
pub const TINY: &str = r#"
model.random = { hidden-size = 32, layers = 1, heads = 2, intermediate-size = 64, max-positions = 48, vocab-size = 400 }
data = { max-length = 32, demo = { sst = 160, para = 160, sts = 160, dev = 40 } }
tasks = { sst = {}, para = {}, sts = {} }
train = { epochs = 2, batch-size = 16, schedule = "combined", learning-rate = 5e-4, head-learning-rate = 2e-3 }
"#;

/// Begins a run in a folder of its own in `folder`: data read, model built, first checkpoint written.
///
/// # Errors
/// What is wrong with the settings' data, or with the folder.
pub fn begin(settings: Settings, folder: &Path) -> anyhow::Result<TrainingSession<Cpu>> {
    let place = Place {
        report: None,
        clock: PhaseClock::new(Instant::now()),
        commit: None,
        backend: "flex".to_owned(),
        name: DeviceName::default(),
        device: Default::default(),
    };
    let run = RunFolder::create(folder.join("run"))?;
    let command = std::env::args().collect();
    let session = pipeline::start(settings, run, None, &place, command, StopFlag::default())?;
    Ok(session)
}

/// Trains to the end, exports the best model, and prints what each task scores on its dev rows.
///
/// # Errors
/// Where numbers leave the numbers, or a file cannot be written.
pub fn complete(session: TrainingSession<Cpu>) -> anyhow::Result<()> {
    let (run, device) = (session.run.clone(), session.device);
    let outcome = train(session, Dashboard::None)?;
    let summary = pipeline::finish::<Flex>(&run, &outcome, &device)?;
    for (task, scores) in &summary.dev.tasks {
        println!("{task}: {} {:.3}", scores.metric().key(), scores.primary());
    }
    println!("overall: {:.3}", summary.dev.overall);
    Ok(())
}
