//! `bertram-cli bench train-step --profile`: the launches of a training step on a GPU, kernel by kernel.

use std::collections::HashMap;
use std::time::Duration;

use bertram_core::encoder::BertConfig;
use bertram_kernels::TrainBackend;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::speed::warm_up;
use super::{batch_shape, compute, heading, measure, prepare, right_align};
use crate::args::BenchCommonArgs;
use crate::backend::BackendJob;
use crate::bench::{Method, MethodBench};
use crate::error::{CliResult, input, work};
use crate::gpu;
use crate::gpu::log::{KernelLaunches, launches_of};
use crate::out;

/// Longest name of a kernel in the table.
const NAME: usize = 72;

/// Profiles a step.
pub fn run(args: &BenchCommonArgs) -> CliResult {
    let backend = args.backend.kind()?;
    if !backend.is_gpu() {
        return Err(input(anyhow::anyhow!(
            "--profile: backend {} launches no kernels; use it with --backend cuda, vulkan, metal or wgpu, and perf on a CPU",
            backend.name()
        )));
    }
    gpu::time_launches();
    let job = Profile {
        config: prepare(args)?,
        args: args.clone(),
    };
    measure(args, job)
}

struct Profile {
    config: BertConfig,
    args: BenchCommonArgs,
}

impl BackendJob for Profile {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let Self { config, args } = &self;
        let compute = compute::<B>(args, &device)?;
        let shape = batch_shape(args);
        let mut bench = MethodBench::<B>::new(Method::Plain, config, compute, shape, &device);
        warm_up(|| bench.run(Duration::ZERO));
        // One step, which waits for the device at its end.
        let launches = launches_of(|| bench.run(Duration::ZERO)).ok_or_else(|| {
            work(anyhow::anyhow!(
                "CubeCL told nothing of its launches; a cubecl.toml in the working folder may have switched its profiling log off"
            ))
        })?;
        let launches = sorted(launches);
        let all = total(&launches);
        if args.json {
            return out::line(&report(args, &launches, all)?.to_string());
        }
        out::line(&table(&launches, all).to_string())?;
        out::line(
            "Each launch was waited for: a step that nobody watches takes less time, and a launch less than the shortest here.",
        )
    }
}

/// The longest first.
fn sorted(launches: HashMap<String, KernelLaunches>) -> Vec<(String, KernelLaunches)> {
    let mut launches: Vec<_> = launches.into_iter().collect();
    launches.sort_by(|(one, a), (other, b)| b.time.cmp(&a.time).then_with(|| one.cmp(other)));
    launches
}

fn total(launches: &[(String, KernelLaunches)]) -> KernelLaunches {
    let zero = KernelLaunches::default();
    (launches.iter()).fold(zero, |sum, (_, kernel)| KernelLaunches {
        count: sum.count + kernel.count,
        time: sum.time + kernel.time,
    })
}

fn report(
    args: &BenchCommonArgs,
    launches: &[(String, KernelLaunches)],
    all: KernelLaunches,
) -> CliResult<Value> {
    let mut whole = heading(args)?;
    let kernel = |(name, kernel): &(String, KernelLaunches)| {
        json!({
            "name": name,
            "launches": kernel.count,
            "seconds": kernel.time.as_secs_f64(),
        })
    };
    whole.insert("launches".into(), json!(all.count));
    whole.insert("seconds".into(), json!(all.time.as_secs_f64()));
    let kernels: Vec<Value> = launches.iter().map(kernel).collect();
    whole.insert("kernels".into(), json!(kernels));
    Ok(Value::Object(whole))
}

fn table(launches: &[(String, KernelLaunches)], all: KernelLaunches) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["kernel", "launches", "ms", "share"]);
    let mut row = |name: String, kernel: &KernelLaunches| {
        let share = kernel.time.as_secs_f64() / all.time.as_secs_f64().max(1e-9);
        table.add_row([
            name,
            kernel.count.to_string(),
            format!("{:.3}", kernel.time.as_secs_f64() * 1e3),
            format!("{:.1} %", 100.0 * share),
        ]);
    };
    for (name, kernel) in launches {
        let cut = name.char_indices().nth(NAME);
        let name = cut.map_or_else(|| name.clone(), |(end, _)| format!("{}…", &name[..end]));
        row(name, kernel);
    }
    row("all of one step".to_owned(), &all);
    right_align(&mut table, &[1, 2, 3]);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_come_first_and_the_sum_last() {
        let kernel = |count, micros| KernelLaunches {
            count,
            time: Duration::from_micros(micros),
        };
        let launches = HashMap::from([
            ("short".to_owned(), kernel(30, 100)),
            (format!("long{}", "é".repeat(NAME)), kernel(2, 900)),
        ]);
        let launches = sorted(launches);
        let all = total(&launches);
        assert_eq!(all, kernel(32, 1000));
        let table = table(&launches, all).to_string();
        let rows: Vec<&str> = table.lines().filter(|line| line.contains('%')).collect();
        assert!(
            rows[0].contains("long") && rows[0].contains("90.0 %"),
            "{table}"
        );
        assert!(
            rows[2].contains("32") && rows[2].contains("100.0 %"),
            "{table}"
        );
    }
}
