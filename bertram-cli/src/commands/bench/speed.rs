//! `bertram-cli bench train-step` and `bench evaluate`: tokens a second, and how near the machine's limit that is.

use std::time::Duration;

use bertram_core::encoder::BertConfig;
use bertram_kernels::TrainBackend;
use bertram_train::pipeline::peak_memory_bytes;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::{batch_shape, compute, gibibytes, heading, measure, prepare, right_align};
use crate::args::{BenchCommonArgs, BenchTrainStepArgs};
use crate::backend::BackendJob;
use crate::bench::{
    EvaluationBench, Method, MethodBench, forward_flops_per_token, matmul_peak, median,
};
use crate::error::{CliResult, input};
use crate::{gpu, out};

/// Runs `bench train-step`.
pub fn train_step(args: &BenchTrainStepArgs) -> CliResult {
    if args.profile {
        return super::profile::run(&args.common);
    }
    run(&args.common, What::TrainStep)
}

/// Runs `bench evaluate`.
pub fn evaluate(args: &BenchCommonArgs) -> CliResult {
    if args.activation_checkpointing {
        return Err(input(anyhow::anyhow!(
            "--activation-checkpointing: an evaluation has no backward pass; leave it out"
        )));
    }
    run(args, What::Evaluate)
}

fn run(args: &BenchCommonArgs, what: What) -> CliResult {
    let job = Speed {
        config: prepare(args)?,
        args: args.clone(),
        what,
    };
    measure(args, job)
}

#[derive(Clone, Copy)]
enum What {
    TrainStep,
    Evaluate,
}

struct Speed {
    config: BertConfig,
    args: BenchCommonArgs,
    what: What,
}

impl BackendJob for Speed {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let Self { config, args, what } = &self;
        let compute = compute::<B>(args, &device)?;
        let shape = batch_shape(args);
        let time = Duration::from_secs_f64(args.seconds);
        let (name, seconds, tokens, passes) = match what {
            What::TrainStep => {
                let mut bench =
                    MethodBench::<B>::new(Method::Plain, config, compute, shape, &device);
                warm_up(|| bench.run(Duration::ZERO));
                bench.seconds.clear();
                bench.run(time);
                // Each product of the forward pass has two in the backward pass.
                ("training step", bench.seconds.clone(), bench.tokens(), 3.0)
            }
            What::Evaluate => {
                let mut bench =
                    EvaluationBench::<B::InnerBackend>::new(config, compute, shape, &device);
                warm_up(|| bench.run(Duration::ZERO));
                bench.seconds.clear();
                bench.run(time);
                ("evaluation", bench.seconds.clone(), bench.tokens(), 1.0)
            }
        };
        let memory = peak_memory_bytes();
        let device_memory = gpu::report().and_then(|gpu| gpu.memory_bytes());
        let median = median(&seconds);
        let tokens_per_second = tokens as f64 / median;
        let peak = matmul_peak::<B>(args.precision, &device);
        let flops = passes * forward_flops_per_token(config, args.sequence) * tokens_per_second;
        let report = json!({
            "tokens_per_second": tokens_per_second,
            "seconds": median,
            "repetitions": seconds.len(),
            "flops_per_second": flops,
            "matmul_peak_flops_per_second": peak,
            "peak_share": flops / peak,
            "peak_memory_bytes": memory,
            "device_memory_bytes": device_memory,
        });
        if args.json {
            let mut whole = heading(args)?;
            if let Value::Object(report) = report {
                whole.extend(report);
            }
            return out::line(&Value::Object(whole).to_string());
        }
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        let number = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
        table.add_row([
            format!("{name}, median of {}", seconds.len()),
            format!("{:.1} ms", median * 1e3),
        ]);
        table.add_row(["tokens/s".to_owned(), format!("{tokens_per_second:.0}")]);
        table.add_row([
            "of the peak of matrix products here".to_owned(),
            format!(
                "{:.0} % of {:.0} GFLOP/s",
                100.0 * number("peak_share"),
                number("matmul_peak_flops_per_second") / 1e9
            ),
        ]);
        table.add_row([
            "peak memory".to_owned(),
            gibibytes(&report["peak_memory_bytes"]),
        ]);
        if device_memory.is_some() {
            table.add_row([
                "memory of the device, in pools".to_owned(),
                gibibytes(&report["device_memory_bytes"]),
            ]);
        }
        right_align(&mut table, &[1]);
        out::line(&table.to_string())
    }
}

/// The first few steps fill caches and allocators, and compile kernels on a GPU.
pub(super) fn warm_up(mut step: impl FnMut()) {
    for _ in 0..3 {
        step();
    }
}
