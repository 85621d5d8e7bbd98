//! What the model is: BERT encoder, task heads, losses, metrics and data.
//!
//! Everything that touches tensors is generic over Burn's [`Backend`](burn::tensor::backend::Backend); there is
//! no training loop and no autodiff-only code here (see `bertram-train` for those).
//!
//! [`spec`], [`batch`] and [`seed`] are the ground floor, whose types every other module may use. No two modules use each
//! other.

pub mod batch;
pub mod data;
pub mod encoder;
pub mod fs;
pub mod head;
pub mod loss;
pub mod metric;
pub mod seed;
pub mod spec;
pub mod task;
pub mod tokenizer;
