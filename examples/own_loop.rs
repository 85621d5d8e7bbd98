//! A training loop of one's own: no run folder, no dashboard, only updates.
//!
//!     cargo run -p bertram-examples --example own_loop

use bertram_core::task::{MultitaskModel, TaskHead, TaskMap};
use bertram_examples::{Cpu, TINY};
use bertram_train::config::Settings;
use bertram_train::epoch::Epoch;
use bertram_train::pipeline::prepare;
use bertram_train::step::{UpdatePlan, UpdateSettings, UpdateState, Updater};
use burn::tensor::{ElementConversion, backend::Backend};

fn main() -> anyhow::Result<()> {
    let device = Default::default();
    let data = prepare(&Settings::from_text("the example", TINY, &[])?, None)?;
    let (settings, config) = (&data.settings, &data.config);
    let head = |task| TaskHead::of_encoder(task, config, &device);
    let heads = settings.tasks.iter().map(|task| head(task.model_config()));
    let mut model = MultitaskModel::<Cpu>::new(config.init(&device), heads.collect());
    let how = UpdateSettings {
        learning_rate: settings.train.learning_rate,
        head_learning_rate: settings.train.head_learning_rate,
        module_rates: Default::default(),
        max_grad_norm: 1.0,
        weights: Default::default(),
        aggregator: settings.aggregator,
        regularisers: settings.regulariser.clone(),
        updates: 0,
    };
    let mut updater = Updater::new(how, UpdateState::plain(settings.optimizer), &model);
    let mut number = 0;
    for epoch in 1..=settings.train.epochs {
        let plan = Epoch::plan(settings, &data.tasks, epoch, &TaskMap::new());
        for update in &plan.updates {
            let parts = plan.parts(update, &data.tasks).into_iter();
            let parts: Vec<_> = parts.map(|part| part.to_device(&device)).collect();
            Cpu::seed(&device, number as u64);
            let (next, output) = updater.update(
                model,
                &UpdatePlan {
                    parts: &parts,
                    merge: update.merge,
                    optimizer: update.optimizer,
                    number,
                    lr_factor: 1.0,
                    log_diagnostics: false,
                    seed: number as u64,
                },
            );
            (model, number) = (next, number + 1);
            for (task, loss) in output.losses {
                let loss: f32 = loss.into_scalar().elem();
                println!("update {number}: {task} {loss:.3}");
            }
        }
    }
    Ok(())
}
