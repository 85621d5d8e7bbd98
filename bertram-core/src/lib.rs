//! What the model is: BERT encoder, task heads, losses, metrics and data.
//!
//! Everything that touches tensors is generic over Burn's [`Backend`](burn::tensor::backend::Backend); there is
//! no training loop and no autodiff-only code here (see `bertram-train` for those).

pub mod data;
pub mod encoder;
pub mod fs;
pub mod head;
pub mod loss;
pub mod metric;
pub mod spec;
pub mod task;
pub mod tokenizer;
