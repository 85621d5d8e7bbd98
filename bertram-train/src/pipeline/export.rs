//! A run's model as a folder, and what such a folder says of itself read back into settings.

use std::path::Path;

use bertram_core::data::BertTokenizer;
use bertram_core::encoder::BertConfig;
use bertram_core::metric::SplitScores;
use bertram_core::task::{
    EncodeSettings, ModelExport, ModelFolder, MultitaskModel, TaskConfig, TaskHead,
    save_model_folder,
};
use burn::tensor::backend::Backend;

use super::card::{CardFacts, model_card};
use super::finish::Summary;
use super::fit::check_fit;
use super::{PipelineError, load_trained};
use crate::calibration::Calibration;
use crate::config::{LossSettings, Settings};
use crate::made_of::MadeOf;
use crate::run_folder::{RunFolder, RunInfo, read_json};

/// A trained model and what its card tells.
pub struct TrainedModel<'a, B: Backend> {
    /// The run's settings.
    pub settings: &'a Settings,
    /// What the run notes of itself.
    pub info: &'a RunInfo,
    /// Name of the run.
    pub run: &'a str,
    /// Shape of the encoder.
    pub config: &'a BertConfig,
    /// The tokenizer that made the token ids, which the folder gets too.
    pub tokenizer: &'a BertTokenizer,
    /// Encoder and heads.
    pub model: &'a MultitaskModel<B>,
    /// The model's scores on dev.
    pub scores: &'a SplitScores,
    /// The epoch after which the model was best; 0 for one that was not trained.
    pub best_epoch: usize,
    /// Whether these are the last weights of a run that exports an average of them.
    pub last_weights: bool,
    /// Whether they are an average of the weights of a run.
    pub averaged: bool,
    /// The overall score on dev rows that did not choose the weights, where others did.
    pub unchosen: Option<f64>,
    /// Of which runs it is the mean, where it is a soup.
    pub made_of: Option<&'a MadeOf>,
}

impl Settings {
    /// How texts go into a model of these settings, and how `encode` makes vectors of them.
    pub fn encode_settings(&self) -> EncodeSettings {
        EncodeSettings {
            preprocess: self.data.preprocess,
            max_length: self.data.max_length,
            pooling: self.model.pooling,
            normalize: false,
            layer_mix: self.model.layer_mix,
        }
    }
}

/// Writes a run's model as a folder; see [`save_model_folder`].
///
/// # Errors
/// [`PipelineError::ModelFolder`].
pub fn export_model<B: Backend>(
    dir: &Path,
    trained: &TrainedModel<'_, B>,
) -> Result<(), PipelineError> {
    let tasks: Vec<&TaskConfig> = trained.model.heads.iter().map(TaskHead::config).collect();
    let encode = trained.settings.encode_settings();
    let card = model_card(&CardFacts {
        settings: trained.settings,
        info: trained.info,
        run: trained.run,
        config: trained.config,
        encode,
        tasks: &tasks,
        scores: trained.scores,
        best_epoch: trained.best_epoch,
        last_weights: trained.last_weights,
        averaged: trained.averaged,
        unchosen: trained.unchosen,
        made_of: trained.made_of,
    });
    save_model_folder(
        dir,
        &ModelExport {
            config: trained.config,
            tokenizer: trained.tokenizer,
            model: trained.model,
            encode,
            card: &card,
        },
    )?;
    Ok(())
}

/// Reads the model that a finished run exported, and gives the run's settings with what the folder says of itself in their
/// place: preprocessing, lengths, pooling, heads, labels. A folder of an earlier version says less; the rest stays the config's.
///
/// # Errors
/// Those of reading, of [`check_fit`], and [`PipelineError::NoHead`].
pub fn open_trained<B: Backend>(
    run: &RunFolder,
    mut settings: Settings,
    device: &B::Device,
) -> Result<(Settings, ModelFolder<B>), PipelineError> {
    let folder = load_trained::<B>(run, &settings, device)?;
    check_fit(&settings, &folder.config, &folder.tokenizer)?;
    if let Some(encode) = &folder.encode {
        settings.data.preprocess = encode.preprocess;
        settings.data.max_length = encode.max_length;
        settings.model.pooling = encode.pooling;
        settings.model.layer_mix = encode.layer_mix;
    }
    for task in &mut settings.tasks {
        let Some(head) = folder.model.head(task.task) else {
            return Err(PipelineError::NoHead {
                task: task.task,
                model: run.model(),
            });
        };
        let config = head.config();
        // Labels and their order are what the head was trained on, whatever the config says since.
        task.spec = config.spec.clone();
        task.head = config.head;
        task.loss = config.loss;
        task.pooling = config.pooling;
        task.layer_mix = config.layer_mix;
        task.head_dropout = config.head_dropout;
        task.threshold = Some(config.threshold);
        task.margin = Some(config.margin);
        task.loss_settings = LossSettings::of(&config.loss_options);
    }
    check_fit(&settings, &folder.config, &folder.tokenizer)?;
    Ok((settings, folder))
}

/// Writes the exported model of a finished run anew, in the form of this version, to `dir`.
///
/// # Errors
/// Those of [`open_trained`], of reading `run.json` and `summary.json`, and of [`export_model`].
pub fn export_run<B: Backend>(
    run: &RunFolder,
    dir: &Path,
    device: &B::Device,
) -> Result<(), PipelineError> {
    let settings = Settings::load(&run.config(), &[])?;
    let info = run.read_info()?;
    let summary: Summary = read_json(&run.summary())?;
    let (settings, folder) = open_trained::<B>(run, settings, device)?;
    export_model(
        dir,
        &TrainedModel {
            settings: &settings,
            info: &info,
            run: &run.name(),
            config: &folder.config,
            tokenizer: &folder.tokenizer,
            model: &folder.model,
            scores: &summary.dev,
            best_epoch: summary.best_epoch,
            last_weights: false,
            averaged: summary.averaged,
            unchosen: summary.unchosen_overall(),
            made_of: summary.made_of.as_ref(),
        },
    )?;
    if let Some(calibration) = Calibration::read(&run.model())? {
        calibration.write(dir)?;
    }
    Ok(())
}
