//! `bertram-cli tune`: the fastest way of each matrix product on this GPU, kept for the runs to come.

use std::time::{Duration, Instant};

use bertram_core::encoder::{BertConfig, Pooling};
use bertram_kernels::products::{TunedProduct, products_of};
use bertram_kernels::{Kernels, TrainBackend};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::bench::{check_sequence, right_align, shape};
use crate::args::TuneArgs;
use crate::backend::{BackendJob, DeviceOptions, dispatch_with};
use crate::bench::{BatchShape, Compute, Method, MethodBench};
use crate::error::{CliResult, input};
use crate::{gpu, out};

/// Runs the command.
pub fn run(args: &TuneArgs) -> CliResult {
    if !(args.seconds.is_finite() && args.seconds >= 0.0) {
        return Err(input(anyhow::anyhow!(
            "--seconds {} is no length of time",
            args.seconds
        )));
    }
    let kind = args.backend.kind()?;
    if !kind.is_gpu() {
        return Err(input(anyhow::anyhow!(
            "backend {} has one way to multiply matrices, and nothing to tune; use --backend cuda, vulkan, metal or wgpu",
            kind.name()
        )));
    }
    let config = shape(&args.shape)?;
    check_sequence(args.sequence, &config)?;
    let job = Tune {
        config,
        args: args.clone(),
    };
    gpu::ignore_tuned();
    dispatch_with(kind, DeviceOptions::plain(args.backend.device), job)?
}

struct Tune {
    config: BertConfig,
    args: TuneArgs,
}

impl BackendJob for Tune {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let Self { config, args } = &self;
        if !args.precision.is_supported::<B>(&device) {
            return Err(input(anyhow::anyhow!(
                "--precision {}: the device does not compute in it; use f32",
                args.precision.name()
            )));
        }
        let compute = Compute {
            pooling: Pooling::default(),
            precision: args.precision,
            ..Compute::default()
        };
        let batch = BatchShape {
            examples: args.batch,
            seq_len: args.sequence,
        };
        let shapes = products_of(|| {
            let mut bench = MethodBench::<B>::new(Method::Plain, config, compute, batch, &device);
            bench.run(Duration::ZERO);
        });
        let until = Instant::now() + Duration::from_secs_f64(args.seconds);
        let bar = ProgressBar::new(1000).with_style(
            ProgressStyle::with_template("{bar:30} {percent}% {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let found = B::InnerBackend::tune_products(&device, &shapes, until, &mut |tried| {
            bar.set_position((tried.done * 1000.0) as u64);
            bar.set_message(tried.shape.to_string());
            if args.json {
                let line = json!({
                    "product": tried.shape.to_string(),
                    "strategy": tried.strategy.to_string(),
                    "microseconds": tried.seconds.ok().map(|seconds| seconds * 1e6),
                    "tflops": tried.seconds.ok().map(|seconds| tried.shape.flops() / seconds / 1e12),
                    "error": tried.seconds.err(),
                });
                // Who reads no more of it still wants the search.
                let _ = out::line(&line.to_string());
            }
        });
        bar.finish_and_clear();
        let found = found.unwrap_or_default();
        gpu::keep_tuned(&found);
        out::line(&table(&found).to_string())
    }
}

fn table(found: &[TunedProduct]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "product",
        "fastest",
        "µs",
        "TFLOP/s",
        "by rule, µs",
        "ratio",
    ]);
    for product in found {
        table.add_row([
            product.shape.to_string(),
            product.strategy.to_string(),
            format!("{:.1}", product.seconds * 1e6),
            format!("{:.1}", product.shape.flops() / product.seconds / 1e12),
            format!("{:.1}", product.seconds_by_rule * 1e6),
            format!("{:.2}", product.seconds_by_rule / product.seconds),
        ]);
    }
    right_align(&mut table, &[2, 3, 4, 5]);
    table
}
