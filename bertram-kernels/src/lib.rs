//! Operations that a BERT encoder and its optimiser spend their time in, each as one call.
//!
//! [`Kernels`] is a Burn backend with these operations. Its provided methods compose them of Burn's own ([`composed`]),
//! which serves every backend; `Flex`, the CPU backend, `CubeBackend`, that of GPUs, and `LibTorch` have fused ones, alone
//! and under `Autodiff`.
//! [`KernelKind`] chooses between the two at run time.

mod adamw;
mod backends;
pub mod composed;
#[cfg(all(test, feature = "flex"))]
mod conformance;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(any(feature = "flex", feature = "libtorch"))]
mod graph;
mod kernels;
#[cfg(feature = "libtorch")]
pub mod libtorch;
mod operands;
mod precision;
pub mod products;
#[cfg(feature = "cuda")]
mod tf32;
mod token_rows;

pub use adamw::{AdamWStep, AdamWUpdate, AdamWUpdated, Moments};
pub use kernels::{KernelKind, Kernels, TrainBackend};
pub use operands::{AttentionOptions, Norm, Projections};
pub use precision::{Precision, at_least_f32};
#[cfg(feature = "cuda")]
pub use tf32::forbid_tf32;
pub use token_rows::{Queries, RowDropout, TokenRows, padded_keys};
