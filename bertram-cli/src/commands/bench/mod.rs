//! `bertram-cli bench`: how fast this machine trains.

mod kernels;
mod methods;
mod profile;
mod speed;

use std::path::Path;

use bertram_core::encoder::BertConfig;
use bertram_kernels::KernelKind;
use burn::tensor::backend::Backend;
use comfy_table::{CellAlignment, Table};
use serde_json::{Map, Value, json};

use crate::args::{BenchArgs, BenchCommand, BenchCommonArgs};
use crate::backend::{BackendJob, DeviceOptions, dispatch_with};
use crate::bench::{BatchShape, Compute};
use crate::error::{CliResult, input};
use crate::threads;

/// Runs the command.
pub fn run(args: &BenchArgs) -> CliResult {
    match &args.what {
        BenchCommand::TrainStep(args) => speed::train_step(args),
        BenchCommand::Evaluate(args) => speed::evaluate(args),
        BenchCommand::Kernels(args) => kernels::run(args),
        BenchCommand::Methods(args) => methods::run(args),
    }
}

/// Sets the number of threads, and reads the shape of the encoder.
fn prepare(args: &BenchCommonArgs) -> CliResult<BertConfig> {
    let config = shape(&args.shape)?;
    check_sequence(args.sequence, &config)?;
    if !(args.seconds.is_finite() && args.seconds >= 0.0) {
        return Err(input(anyhow::anyhow!(
            "--seconds {} is no length of time",
            args.seconds
        )));
    }
    if let Some(count) = args.threads {
        threads::start(Some(count))?;
    }
    Ok(config)
}

/// Whether the shape has positions for a sequence.
pub fn check_sequence(sequence: usize, config: &BertConfig) -> CliResult {
    if sequence > config.max_position_embeddings {
        return Err(input(anyhow::anyhow!(
            "--sequence {sequence} is more than the {} positions of the shape",
            config.max_position_embeddings
        )));
    }
    Ok(())
}

/// A named shape, or that of a `config.json`.
pub fn shape(name: &str) -> CliResult<BertConfig> {
    match name {
        "minilm" => Ok(BertConfig {
            hidden_size: 384,
            num_hidden_layers: 6,
            intermediate_size: 1536,
            ..BertConfig::default()
        }),
        "base" => Ok(BertConfig::default()),
        path => {
            let text = std::fs::read_to_string(Path::new(path)).map_err(|error| {
                input(anyhow::anyhow!(
                    "--shape {path}: {error}; it is minilm, base, or a model's config.json"
                ))
            })?;
            let config: BertConfig = serde_json::from_str(&text)
                .map_err(|error| input(anyhow::anyhow!("{path}: {error}")))?;
            config
                .validate()
                .map_err(|error| input(anyhow::anyhow!("{path}: {error}")))?;
            Ok(config)
        }
    }
}

/// Runs a measurement where the arguments say.
fn measure<J: BackendJob<Output = CliResult>>(args: &BenchCommonArgs, job: J) -> CliResult {
    dispatch_with(
        args.backend.kind()?,
        DeviceOptions {
            device: args.backend.device,
            checkpointing: args.activation_checkpointing,
            tf32: !args.no_tf32,
        },
        job,
    )?
}

/// How the encoder is to compute.
///
/// # Errors
/// If the device does not compute in the precision.
fn compute<B: Backend>(args: &BenchCommonArgs, device: &B::Device) -> CliResult<Compute> {
    if !args.precision.is_supported::<B>(device) {
        return Err(input(anyhow::anyhow!(
            "--precision {}: backend {} does not compute in it here; use f32, or another backend",
            args.precision.name(),
            args.backend.kind()?.name()
        )));
    }
    Ok(Compute {
        kernels: args.kernels.into(),
        precision: args.precision,
        pooling: args.pooling,
    })
}

fn batch_shape(args: &BenchCommonArgs) -> BatchShape {
    BatchShape {
        examples: args.batch,
        seq_len: args.sequence,
    }
}

/// What a JSON report says of its settings.
fn heading(args: &BenchCommonArgs) -> CliResult<Map<String, Value>> {
    let heading = json!({
        "backend": args.backend.kind()?.name(),
        "shape": args.shape,
        "batch": args.batch,
        "sequence": args.sequence,
        "threads": args.threads,
        "kernels": KernelKind::from(args.kernels).name(),
        "precision": args.precision.name(),
        "pooling": args.pooling,
        "activation_checkpointing": args.activation_checkpointing,
    });
    Ok(match heading {
        Value::Object(heading) => heading,
        _ => Map::new(),
    })
}

fn gibibytes(bytes: &Value) -> String {
    bytes.as_f64().map_or_else(
        || "not known".to_owned(),
        |bytes| format!("{:.2} GiB", bytes / f64::from(1u32 << 30)),
    )
}

pub fn right_align(table: &mut Table, columns: &[usize]) {
    for &column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
