//! What a model folder says of itself, put together with what the command line says.

use std::path::{Path, PathBuf};

use bertram_core::encoder::{BertConfig, Pooling};
use bertram_core::task::{Encoding, EncodingSource, encoding_of};
use bertram_train::config::Settings;
use bertram_train::pipeline::PipelineError;

use crate::error::{CliResult, input, pipeline_error};

/// Fewest tokens of a sentence: `[CLS]` and `[SEP]`.
const FEWEST: usize = 2;

/// What the model in `dir` says of itself. A run's model of an early version says little; the run's config says the rest.
pub fn encoding(dir: &Path) -> CliResult<Encoding> {
    let mut encoding = encoding_of(dir)
        .map_err(PipelineError::from)
        .map_err(pipeline_error)?;
    let config = dir.join("../config.toml");
    if encoding.source == EncodingSource::OldHeads && config.is_file() {
        let settings = Settings::load(&config, &[])
            .map_err(PipelineError::from)
            .map_err(pipeline_error)?;
        encoding.pooling = Some(settings.model.pooling);
        encoding.max_length = Some(settings.data.max_length);
        encoding.preprocess = settings.data.preprocess;
    }
    Ok(encoding)
}

/// The folder of the weights to train from. Warns where the model's own pooling is not the run's, unless the run's is
/// `meant`: training goes by the config.
pub fn to_train(dir: &Path, settings: &Settings, meant: bool) -> CliResult<PathBuf> {
    let encoding = encoding(dir)?;
    let pooling = settings.model.pooling;
    if let Some(own) = encoding.pooling.filter(|own| *own != pooling && !meant) {
        tracing::warn!(
            "{} was made for {own} pooling, and this run takes {pooling} pooling: set model.pooling = \"{own}\" for the model's own, or \"{pooling}\" to keep this",
            dir.display()
        );
    }
    Ok(encoding.weights)
}

/// Pooling and longest text, and a line that says where they are from.
pub struct Chosen {
    /// How hidden states become one vector.
    pub pooling: Pooling,
    /// Most tokens of a sentence.
    pub max_length: usize,
    /// For a person.
    pub line: String,
}

/// Flags go over what the model says, and that over mean pooling of all the tokens that there are positions for.
pub fn choose(
    dir: &Path,
    encoding: &Encoding,
    pooling: Option<Pooling>,
    max_length: Option<usize>,
    config: &BertConfig,
) -> CliResult<Chosen> {
    let file = encoding.source.file();
    let said = file.map_or_else(|| "as usual".to_owned(), |file| format!("from {file}"));
    let (pooling, pooling_from) = match (pooling, encoding.pooling, &encoding.lacking) {
        (Some(pooling), _, _) => (pooling, "--pooling".to_owned()),
        (None, Some(pooling), _) => (pooling, said.clone()),
        (None, None, Some(lacking)) => {
            return Err(input(anyhow::anyhow!(
                "{}: {} asks for {lacking}, which bertram has not; --pooling cls, mean, max or pooler takes the encoder with another pooling",
                dir.display(),
                file.unwrap_or("it"),
            )));
        }
        (None, None, None) => (Pooling::Mean, "the model does not say".to_owned()),
    };
    let positions = config.max_position_embeddings;
    let (max_length, length_from) = match (max_length, encoding.max_length) {
        (Some(length), _) => {
            if !(FEWEST..=positions).contains(&length) {
                return Err(input(anyhow::anyhow!(
                    "--max-length {length} must be between {FEWEST} and the model's {positions} positions"
                )));
            }
            (length, "--max-length".to_owned())
        }
        (None, Some(length)) if length <= positions => (length, said),
        (None, Some(length)) => match encoding.source {
            EncodingSource::OldHeads => {
                return Err(pipeline_error(PipelineError::TooLong {
                    max_length: length,
                    positions,
                }));
            }
            EncodingSource::Heads => {
                return Err(input(anyhow::anyhow!(
                    "{}: `max-length` is {length}; it must be from 3 to the model's {positions} positions",
                    dir.join("heads.json").display()
                )));
            }
            // Tokenizers often say more than there are positions, or a number beyond all texts.
            EncodingSource::Modules | EncodingSource::Nothing => {
                (positions, "all positions".to_owned())
            }
        },
        (None, None) => (positions, "all positions".to_owned()),
    };
    let normalized = if encoding.normalize {
        ", vectors of length 1"
    } else {
        ""
    };
    Ok(Chosen {
        pooling,
        max_length,
        line: format!(
            "{pooling} pooling ({pooling_from}), at most {max_length} tokens ({length_from}){normalized}"
        ),
    })
}
