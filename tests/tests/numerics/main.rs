//! What compiles the numeric core: values of other implementations, backends against each other, half precision.
//!
//! One program, because each would compile Burn's operations for its backends anew, which takes longer than all else here.
//! `cargo test -p bertram-tests --test numerics golden_encoder` runs the tests of one file.

mod evaluation;
mod golden_aggregators;
mod golden_effects;
mod golden_encoder;
mod golden_importance;
mod golden_losses;
mod golden_parquet;
mod golden_regularisers;
mod golden_statistics;
mod golden_tokenizer;
mod golden_updates;
mod half_precision;
mod tiny;
mod update_backends;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A test's turn at the backends' random generators: they are global, and a test that seeds one must draw alone.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
