//! `bertram-cli bench kernels`: fused beside composed.

use std::time::Duration;

use bertram_core::encoder::BertConfig;
use bertram_kernels::{Precision, TrainBackend};
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::{batch_shape, heading, measure, prepare, right_align};
use crate::args::BenchCommonArgs;
use crate::backend::BackendJob;
use crate::bench::{KernelTime, kernel_times};
use crate::error::{CliResult, input};
use crate::out;

/// Runs the command.
pub fn run(args: &BenchCommonArgs) -> CliResult {
    if args.precision != Precision::F32 {
        return Err(input(anyhow::anyhow!(
            "--precision {}: there is one form of a kernel for it, and nothing to compare; leave it out",
            args.precision.name()
        )));
    }
    let job = Kernels {
        config: prepare(args)?,
        args: args.clone(),
    };
    measure(args, job)
}

struct Kernels {
    config: BertConfig,
    args: BenchCommonArgs,
}

impl BackendJob for Kernels {
    type Output = CliResult;

    fn run<B: TrainBackend>(self, device: B::Device) -> CliResult {
        let time = Duration::from_secs_f64(self.args.seconds / 2.0);
        let times = kernel_times::<B>(&self.config, batch_shape(&self.args), time, &device);
        if self.args.json {
            let mut report = heading(&self.args)?;
            report.remove("kernels");
            report.remove("precision");
            report.insert("seconds".to_owned(), json!(times));
            return out::line(&Value::Object(report).to_string());
        }
        out::line(&table(&times).to_string())
    }
}

fn table(times: &[KernelTime]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "kernel, there and back",
        "fused, ms",
        "composed, ms",
        "ratio",
    ]);
    for time in times {
        table.add_row([
            time.kernel.to_owned(),
            format!("{:.3}", time.fused * 1e3),
            format!("{:.3}", time.composed * 1e3),
            format!("{:.1}", time.composed / time.fused),
        ]);
    }
    right_align(&mut table, &[1, 2, 3]);
    table
}
