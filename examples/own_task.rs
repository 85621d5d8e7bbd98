//! Tasks of one's own, from a config alone: `docs/src/data.md` has what a `[tasks.NAME]` section may say.
//!
//!     cargo run -p bertram-examples --example own_task

use bertram_core::data::{DemoConfig, OWN_TASKS_CONFIG, write_own_tasks};
use bertram_examples::{begin, complete};
use bertram_train::config::Settings;

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // Three generated tasks, as somebody's files would lie: `nli` is CSV with classes by name, `reviews` JSON lines with two
    // labels, `similarity` TSV with scores. `own-tasks.toml` says so; `bertram-cli data demo --own-tasks DIR` writes the same.
    let rows = DemoConfig {
        seed: 7,
        sst: 0,
        para: 0,
        sts: 160,
        dev: 40,
        test: 40,
    };
    write_own_tasks(folder.path(), &rows)?;
    let config = folder.path().join(OWN_TASKS_CONFIG);
    let smaller = [
        "model.random.hidden-size=32",
        "model.random.layers=1",
        "model.random.intermediate-size=64",
        "train.epochs=2",
    ];
    let settings = Settings::load(&config, &smaller.map(str::to_owned))?;
    for task in &settings.tasks {
        println!(
            "{}: {:?}, {:?}, scored by {}",
            task.task,
            task.spec.inputs,
            task.head,
            task.spec.metric.key()
        );
    }
    complete(begin(settings, folder.path())?)
}
