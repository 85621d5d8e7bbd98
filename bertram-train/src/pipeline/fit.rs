//! Whether a model, its tokenizer and a run's settings go together: one list of checks for every command.

use bertram_core::data::{BertTokenizer, Packing};
use bertram_core::encoder::BertConfig;

use super::PipelineError;
use crate::config::Settings;

/// Checks that the settings' sequences fit the model's positions, its tokenizer's ids the embeddings, and its token types
/// the tasks' heads.
///
/// # Errors
/// [`PipelineError::TooLong`], [`PipelineError::Tokenizer`], [`PipelineError::Segments`].
pub fn check_fit(
    settings: &Settings,
    config: &BertConfig,
    tokenizer: &BertTokenizer,
) -> Result<(), PipelineError> {
    if settings.data.max_length > config.max_position_embeddings {
        return Err(PipelineError::TooLong {
            max_length: settings.data.max_length,
            positions: config.max_position_embeddings,
        });
    }
    tokenizer.check_fits(config.vocab_size)?;
    let packed = settings
        .tasks
        .iter()
        .find(|task| task.head.packing() == Packing::CrossEncoder);
    match packed {
        // The second sentence of a packed pair is segment 1.
        Some(task) if config.type_vocab_size < 2 => {
            Err(PipelineError::Segments { task: task.task })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_the_keys_of_both_sides() {
        let sentences = ["the film was good", "a dog"].into_iter().cycle().take(8);
        let tokenizer = BertTokenizer::train_word_piece(sentences, 100).expect("a tokenizer");
        let settings = |text: &str| Settings::from_text("test", text, &[]).expect("settings");
        let cross = settings("[tasks.sts]\nhead = \"cross-encoder\"\n[data]\nmax-length = 64\n");
        let cosine = settings("[tasks.sts]\n[data]\nmax-length = 64\n");
        let config = BertConfig::default();
        let narrow = BertConfig {
            type_vocab_size: 1,
            ..BertConfig::default()
        };
        check_fit(&cross, &config, &tokenizer).expect("fits");
        check_fit(&cosine, &narrow, &tokenizer).expect("one segment is enough");
        let short = BertConfig {
            max_position_embeddings: 63,
            ..BertConfig::default()
        };
        let small = BertConfig {
            vocab_size: tokenizer.vocab_size() - 1,
            ..BertConfig::default()
        };
        for (settings, config, parts) in [
            (&cross, &narrow, ["tasks.sts.head", "`type_vocab_size` 1"]),
            (&cosine, &short, ["data.max-length = 64", "63 positions"]),
            (&cosine, &small, ["largest id", "embeddings"]),
        ] {
            let error = check_fit(settings, config, &tokenizer).expect_err("does not fit");
            assert!(error.is_input());
            for part in parts {
                assert!(error.to_string().contains(part), "{error}");
            }
        }
    }
}
