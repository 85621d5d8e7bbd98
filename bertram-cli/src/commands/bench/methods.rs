//! `bertram-cli bench methods`: what each method costs.

use std::process::Command;
use std::time::Duration;

use bertram_core::encoder::BertConfig;
use bertram_kernels::{KernelKind, TrainBackend};
use bertram_train::pipeline::peak_memory_bytes;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::{batch_shape, compute, gibibytes, heading, measure, prepare, right_align};
use crate::args::BenchMethodsArgs;
use crate::backend::BackendJob;
use crate::bench::{Method, MethodBench, median};
use crate::error::{CliResult, input, work};
use crate::out;

/// Rounds in which the methods take turns.
const ROUNDS: u32 = 4;

/// Runs the command.
pub fn run(args: &BenchMethodsArgs) -> CliResult {
    let job = Methods {
        config: prepare(&args.common)?,
        args: args.clone(),
    };
    measure(&args.common, job)
}

struct Methods {
    config: BertConfig,
    args: BenchMethodsArgs,
}

impl BackendJob for Methods {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let (args, common) = (&self.args, &self.args.common);
        let compute = compute::<B>(common, &device)?;
        let shape = batch_shape(common);
        let wanted = |method: &Method| args.only.as_deref().is_none_or(|it| it == method.name());
        let methods: Vec<Method> = Method::ALL.into_iter().filter(wanted).collect();
        if methods.is_empty() {
            let names: Vec<&str> = Method::ALL.map(Method::name).to_vec();
            return Err(input(anyhow::anyhow!(
                "--only takes one of: {}",
                names.join(", ")
            )));
        }
        let mut benches: Vec<MethodBench<B>> = methods
            .into_iter()
            .map(|method| MethodBench::new(method, &self.config, compute, shape, &device))
            .collect();
        for bench in &mut benches {
            // The first updates warm up caches, allocators and, on a GPU, compile kernels.
            bench.run(Duration::ZERO);
            bench.run(Duration::ZERO);
            bench.seconds.clear();
        }
        let slice = Duration::from_secs_f64(common.seconds / f64::from(ROUNDS));
        for _ in 0..ROUNDS {
            for bench in &mut benches {
                bench.run(slice);
            }
        }
        // A process knows the most memory that it ever held: each method gets a process of its own.
        let memory: Vec<Option<u64>> = match benches.as_slice() {
            [_] => vec![peak_memory_bytes()],
            several => several
                .iter()
                .map(|bench| memory_of(args, bench.method))
                .collect::<CliResult<_>>()?,
        };
        let seconds = |method: Method| {
            let bench = benches.iter().find(|bench| bench.method == method);
            bench.map(|bench| median(&bench.seconds))
        };
        let lines: Vec<Value> = benches
            .iter()
            .zip(memory)
            .map(|(bench, memory)| {
                let own = median(&bench.seconds);
                json!({
                    "method": bench.method.name(),
                    "baseline": bench.method.baseline().name(),
                    "ratio": seconds(bench.method.baseline()).map(|baseline| own / baseline),
                    "seconds": own,
                    "updates": bench.seconds.len(),
                    "tokens_per_second": bench.tokens() as f64 / own,
                    "peak_memory_bytes": memory,
                })
            })
            .collect();
        if common.json {
            let mut report = heading(common)?;
            report.insert("methods".to_owned(), lines.into());
            return out::line(&Value::Object(report).to_string());
        }
        out::line(&table(&lines).to_string())
    }
}

/// The peak memory of a process that runs one method alone.
fn memory_of(args: &BenchMethodsArgs, method: Method) -> CliResult<Option<u64>> {
    let common = &args.common;
    let mut command = Command::new(std::env::current_exe().map_err(work)?);
    command
        .args(["bench", "methods", "--json", "--seconds", "1"])
        .args(["--only", method.name(), "--shape", &common.shape])
        .args(["--batch", &common.batch.to_string()])
        .args(["--sequence", &common.sequence.to_string()])
        .args(["--kernels", KernelKind::from(common.kernels).name()])
        .args(["--precision", common.precision.name()])
        .args(["--pooling", &common.pooling.to_string()])
        .args(["--backend", common.backend.kind()?.name()]);
    if let Some(device) = common.backend.device {
        command.args(["--device", &device.to_string()]);
    }
    if common.activation_checkpointing {
        command.arg("--activation-checkpointing");
    }
    if let Some(threads) = common.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    let output = command.output().map_err(work)?;
    let report: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    Ok(report.and_then(|report| report["methods"][0]["peak_memory_bytes"].as_u64()))
}

fn table(lines: &[Value]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "method",
        "time",
        "of",
        "ms an update",
        "tokens/s",
        "peak memory",
    ]);
    for line in lines {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| line[key].as_f64().unwrap_or(f64::NAN);
        table.add_row([
            text("method"),
            // Nothing to compare with, where the baseline was left out.
            line["ratio"]
                .as_f64()
                .map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            text("baseline"),
            format!("{:.1}", number("seconds") * 1e3),
            format!("{:.0}", number("tokens_per_second")),
            gibibytes(&line["peak_memory_bytes"]),
        ]);
    }
    right_align(&mut table, &[1, 3, 4, 5]);
    table
}
