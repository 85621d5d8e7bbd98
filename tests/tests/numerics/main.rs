//! What compiles the numeric core: values of other implementations, backends against each other, half precision.
//!
//! One program, because each would compile Burn's operations for its backends anew, which takes longer than all else here.
//! `cargo test -p bertram-tests --test numerics golden_encoder` runs the tests of one file.

mod evaluation;
mod golden_aggregators;
mod golden_averages;
mod golden_effects;
mod golden_encoder;
mod golden_ensembles;
mod golden_importance;
mod golden_losses;
mod golden_parquet;
mod golden_pooling;
mod golden_regularisers;
mod golden_statistics;
mod golden_tokenizer;
mod golden_updates;
mod half_precision;
mod tiny;
mod update_backends;

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::NdArray;
use burn::backend::ndarray::NdArrayDevice;
use burn::tensor::Tensor;

/// A test's turn at the backends' random generators: they are global, and a test that seeds one must draw alone.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// ndarray's device, for a test in f64, which names its tensors' type itself. The first tensor on a device decides which type
/// those are that name none, for the whole program: whatever runs first, it is f32, which the other tests go by.
fn ndarray_for_f64() -> NdArrayDevice {
    let device = NdArrayDevice::Cpu;
    drop(Tensor::<NdArray, 1>::zeros([1], &device));
    device
}
