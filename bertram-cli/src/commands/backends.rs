//! `bertram-cli backends`: what this build has, what it finds, and how fast it is.

use std::time::{Duration, Instant};

use bertram_kernels::TrainBackend;
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};
use comfy_table::{Table, presets};

use crate::backend::{BackendJob, BackendKind, devices, dispatch};
use crate::error::{CliResult, quietly};
use crate::out;

/// Side of the matrices that are multiplied.
const SIDE: usize = 512;
/// How long a backend is measured.
const MEASURED: Duration = Duration::from_millis(500);

/// Runs the command.
pub fn run() -> CliResult {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["backend", "device", "512x512 f32 product", "in this build"]);
    for kind in BackendKind::ALL {
        if !kind.is_compiled() {
            table.add_row([
                kind.name(),
                "",
                "",
                &format!("no: {}", kind.build_command()),
            ]);
            continue;
        }
        let found = devices(kind);
        if found.is_empty() {
            table.add_row([kind.name(), "none found", "", "yes"]);
        }
        for (name, device) in found {
            // One device that fails does not hide the others.
            let speed = match quietly(|| dispatch(kind, Some(name), Product)) {
                Some(Ok(speed)) => format!("{speed:.0} GFLOP/s"),
                Some(Err(_)) | None => "failed".to_owned(),
            };
            table.add_row([kind.name(), &format!("{name}: {device}"), &speed, "yes"]);
        }
    }
    out::line(&table.to_string())
}

/// Measures matrix products.
struct Product;

impl BackendJob for Product {
    type Output = f64;

    fn run<B: TrainBackend>(self, device: B::Device) -> f64 {
        let random =
            || Tensor::<B::InnerBackend, 2>::random([SIDE, SIDE], Distribution::Default, &device);
        let (a, mut b) = (random(), random());
        let mut multiply = |times: usize| {
            for _ in 0..times {
                // Each product needs the last, so that none can be left out; scaled, so that it stays finite.
                b = a.clone().matmul(b.clone()) * (2.0 / SIDE as f64);
            }
            // A failure to wait shows as an absurd speed, and never as a crash of a table of speeds.
            let _ = <B::InnerBackend as Backend>::sync(&device);
        };
        // Kernels are compiled, and tuned, on first use.
        multiply(3);
        let begun = Instant::now();
        let mut products = 0;
        while begun.elapsed() < MEASURED {
            multiply(5);
            products += 5;
        }
        let operations = 2.0 * (SIDE as f64).powi(3) * f64::from(products);
        operations / begun.elapsed().as_secs_f64() / 1e9
    }
}
