//! Sentences to vectors, with a model folder in Hugging Face's layout or, without one, a random model.
//!
//!     cargo run -p bertram-examples --example encode -- [MODEL FOLDER]

use std::path::PathBuf;

use bertram_core::data::{BertTokenizer, sequence_batch};
use bertram_core::encoder::{BertConfig, Pooling, load_encoder};
use bertram_core::head::cosine_similarity;
use burn::backend::Flex;

const SENTENCES: [&str; 3] = [
    "the film was a joy from start to end",
    "a wonderful film",
    "the train to the coast was late again",
];

fn main() -> anyhow::Result<()> {
    let device = Default::default();
    let (encoder, tokenizer) = match std::env::args().nth(1).map(PathBuf::from) {
        Some(folder) => {
            let (_, encoder, _) = load_encoder::<Flex>(&folder, &device)?;
            (encoder, BertTokenizer::from_folder(&folder)?)
        }
        None => {
            let tokenizer = BertTokenizer::train_word_piece(SENTENCES.into_iter(), 200)?;
            let config = BertConfig {
                vocab_size: tokenizer.vocab_size(),
                hidden_size: 32,
                num_hidden_layers: 2,
                num_attention_heads: 2,
                intermediate_size: 64,
                ..BertConfig::default()
            };
            (config.init::<Flex>(&device), tokenizer)
        }
    };
    let tokens = tokenizer.encode_all(&SENTENCES)?;
    let sequences: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
    let most = encoder.max_positions();
    let batch = sequence_batch::<Flex>(&sequences, tokenizer.special(), most, 1, &device);
    let hidden = encoder.forward(&batch);
    let vectors = encoder.pool(hidden, &batch.attention_mask, Pooling::Mean);
    for (row, sentence) in SENTENCES.iter().enumerate() {
        let one = vectors.clone().narrow(0, row, 1).expand(vectors.shape());
        let cosines = cosine_similarity(one, vectors.clone());
        let cosines: Vec<f32> = cosines.into_data().iter().collect();
        println!("{cosines:.3?} {sentence}");
    }
    Ok(())
}
