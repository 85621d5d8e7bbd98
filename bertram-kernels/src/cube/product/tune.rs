//! The search for the fastest way to multiply.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use burn::tensor::{DType, Distribution, Tensor};
use burn_cubecl::tensor::CubeTensor;

use super::super::graph::CubeKernels;
use super::super::tensor::{primitive, tensor};
use super::{by, plainly, strategy, transposed};
use crate::products::{
    Instruction, Pipeline, ProductShape, ProductStrategy, TuneProgress, TunedProduct,
};

/// Time for which one way is measured, and how often.
const MEASURED: Duration = Duration::from_millis(4);
const ROUNDS: usize = 3;

/// Everything that is tried for a shape, the most promising first.
fn candidates(shape: &ProductShape) -> Vec<ProductStrategy> {
    use Instruction::{Cooperative, Manual, Ordinary};
    let way = |(pipeline, instruction)| ProductStrategy {
        pipeline,
        instruction,
        splits: 1,
    };
    let whole = [
        (Pipeline::TmaDouble, Manual),
        (Pipeline::TmaSpecialized, Manual),
        (Pipeline::DoubleAsync, Manual),
        (Pipeline::Specialized, Manual),
        (Pipeline::TmaSimple, Manual),
        (Pipeline::Ordered, Manual),
        (Pipeline::Double, Manual),
        (Pipeline::Double, Cooperative),
        (Pipeline::Ordered, Cooperative),
        (Pipeline::Simple, Cooperative),
        (Pipeline::Simple, Ordinary),
        (Pipeline::Double, Ordinary),
    ]
    .map(way);
    let mut ways = whole.to_vec();
    // Few blocks of the result, and a long sum for each.
    if shape.batches == 1 && shape.inner >= 1024 && shape.inner >= shape.rows.min(shape.columns) {
        for splits in [2, 4, 8] {
            ways.extend(
                whole[..4]
                    .iter()
                    .map(|way| ProductStrategy { splits, ..*way }),
            );
        }
    }
    ways
}

/// Operands of a shape.
struct Operands<B: CubeKernels> {
    shape: ProductShape,
    lhs: CubeTensor<B::Runtime>,
    rhs: CubeTensor<B::Runtime>,
    device: B::Device,
}

impl<B: CubeKernels> Operands<B> {
    fn random(shape: ProductShape, device: &B::Device) -> Self {
        let matrix = |rows: usize, columns: usize, is_transposed: bool| {
            let dims = match is_transposed {
                true => [columns, rows],
                false => [rows, columns],
            };
            let values = Distribution::Normal(0.0, 1.0);
            let matrix = if shape.batches == 1 {
                primitive(Tensor::<B, 2>::random(dims, values, device).cast(shape.operands))
            } else {
                let dims = [shape.batches, dims[0], dims[1]];
                primitive(Tensor::<B, 3>::random(dims, values, device).cast(shape.operands))
            };
            match is_transposed {
                true => transposed(matrix),
                false => matrix,
            }
        };
        Self {
            shape,
            lhs: matrix(shape.rows, shape.inner, shape.lhs_transposed),
            rhs: matrix(shape.inner, shape.columns, shape.rhs_transposed),
            device: device.clone(),
        }
    }

    fn product(&self, strategy: ProductStrategy) -> Result<CubeTensor<B::Runtime>, String> {
        let product = || by(strategy, &self.lhs, &self.rhs, self.shape.result);
        // Some of CubeK's ways panic at shapes that they do not take.
        match catch_unwind(AssertUnwindSafe(product)) {
            Ok(product) => product.map_err(|error| format!("{error:?}")),
            Err(_) => Err("panicked".to_owned()),
        }
    }

    fn wait(&self) -> Result<(), String> {
        B::sync(&self.device).map_err(|error| format!("{error:?}"))
    }

    /// Seconds of a product.
    ///
    /// # Errors
    /// If the device does not have this way, or if what comes of it is not `expected`.
    fn seconds(
        &self,
        strategy: ProductStrategy,
        expected: &CubeTensor<B::Runtime>,
    ) -> Result<f64, String> {
        let first = self.product(strategy)?;
        self.wait()?;
        if !self.is_close(first, expected.clone()) {
            return Err("another result".to_owned());
        }
        let mut fastest = f64::INFINITY;
        let mut count = 1;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            for _ in 0..count {
                self.product(strategy)?;
            }
            self.wait()?;
            let each = begun.elapsed().as_secs_f64() / f64::from(count);
            fastest = fastest.min(each);
            count = (MEASURED.as_secs_f64() / each).clamp(1.0, 1000.0) as u32;
        }
        Ok(fastest)
    }

    /// Whether two results are equal to rounding. NaN is not.
    fn is_close(&self, one: CubeTensor<B::Runtime>, other: CubeTensor<B::Runtime>) -> bool {
        let [one, other] = [one, other].map(|it| match self.shape.batches {
            1 => tensor::<B, 2>(it).cast(DType::F32).flatten::<1>(0, 1),
            _ => tensor::<B, 3>(it).cast(DType::F32).flatten::<1>(0, 2),
        });
        let number = |tensor: Tensor<B, 1>| tensor.into_data().convert::<f64>().to_vec::<f64>();
        let largest = number(other.clone().abs().max());
        let apart = number((one - other).abs().max());
        match (largest, apart) {
            (Ok(largest), Ok(apart)) => apart[0] <= 0.02 * largest[0],
            _ => false,
        }
    }
}

/// [`Kernels::tune_products`](crate::Kernels::tune_products).
pub(in super::super) fn tune<B: CubeKernels>(
    device: &B::Device,
    shapes: &[ProductShape],
    until: Instant,
    progress: &mut dyn FnMut(TuneProgress<'_>),
) -> Vec<TunedProduct> {
    let mut found = Vec::new();
    for (number, shape) in shapes.iter().enumerate() {
        let operands = Operands::<B>::random(*shape, device);
        let plain = plainly(&operands.lhs, &operands.rhs, shape.result);
        let Ok(expected) = plain else { continue };
        let rule = strategy::by_rule(shape, &operands.lhs.client);
        let ways = [rule, ProductStrategy::PLAIN, ProductStrategy::ANYWHERE];
        let timed = |way| Some((way, operands.seconds(way, &expected).ok()?));
        // What a run does where the rule's way is not there for the shape.
        let Some(rule) = ways.into_iter().find_map(timed) else {
            continue;
        };
        let mut fastest = rule;
        let candidates = candidates(shape);
        // What is left is for this shape and for those that come.
        let now = Instant::now();
        let share = until.saturating_duration_since(now) / (shapes.len() - number) as u32;
        for (tried, candidate) in candidates.iter().enumerate() {
            let seconds = match *candidate == rule.0 {
                true => Ok(rule.1),
                false => operands.seconds(*candidate, &expected),
            };
            if let Ok(seconds) = seconds
                && seconds < fastest.1
            {
                fastest = (*candidate, seconds);
            }
            progress(TuneProgress {
                shape,
                strategy: *candidate,
                seconds: seconds.as_ref().map_err(String::as_str).copied(),
                done: (number as f64 + (tried + 1) as f64 / candidates.len() as f64)
                    / shapes.len() as f64,
            });
            if now.elapsed() > share {
                break;
            }
        }
        found.push(TunedProduct {
            shape: *shape,
            strategy: fastest.0,
            seconds: fastest.1,
            seconds_by_rule: rule.1,
        });
    }
    found
}
