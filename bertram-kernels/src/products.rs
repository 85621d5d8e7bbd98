//! Matrix products as the kernels of GPUs launch them: what is multiplied, and how.
//!
//! CubeK has some dozens of ways to multiply matrices, and which is fastest depends on the shape, the type and the device.
//! A run takes one by rule. [`Kernels::tune_products`](crate::Kernels::tune_products) measures them, and [`use_tuned`] puts
//! what it found in the rule's place.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use burn::tensor::DType;
use serde::{Deserialize, Serialize};

/// What a product's speed depends on: `[batches, rows, inner] [batches, inner, columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProductShape {
    /// How many products of this shape are made at once.
    pub batches: usize,
    /// Rows of the left matrix and of the result.
    pub rows: usize,
    /// Columns of the left matrix, rows of the right one.
    pub inner: usize,
    /// Columns of the right matrix and of the result.
    pub columns: usize,
    /// Whether the left matrix lies in memory column by column.
    pub lhs_transposed: bool,
    /// Whether the right matrix does.
    pub rhs_transposed: bool,
    /// Type of the matrices.
    pub operands: DType,
    /// Type of the result.
    pub result: DType,
}

impl ProductShape {
    /// Floating-point operations.
    pub fn flops(&self) -> f64 {
        2.0 * [self.batches, self.rows, self.inner, self.columns]
            .map(|size| size as f64)
            .iter()
            .product::<f64>()
    }

    /// The class of shapes that share a choice: each size rounded up to a power of two, as batches differ in length.
    fn class(self) -> Self {
        Self {
            batches: self.batches.next_power_of_two(),
            rows: self.rows.next_power_of_two(),
            inner: self.inner.next_power_of_two(),
            columns: self.columns.next_power_of_two(),
            ..self
        }
    }
}

impl fmt::Display for ProductShape {
    /// As in `8192×768t · 768×3072, BF16 to F32`; `t` marks a matrix that lies column by column.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |transposed: bool| if transposed { "t" } else { "" };
        if self.batches > 1 {
            write!(f, "{} of ", self.batches)?;
        }
        write!(
            f,
            "{}×{}{} · {}×{}{}, {:?}",
            self.rows,
            self.inner,
            mark(self.lhs_transposed),
            self.inner,
            self.columns,
            mark(self.rhs_transposed),
            self.operands
        )?;
        if self.result != self.operands {
            write!(f, " to {:?}", self.result)?;
        }
        Ok(())
    }
}

/// How blocks of the operands come from memory to where they are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pipeline {
    /// One block after the other.
    Simple,
    /// The next block is read while one is multiplied.
    Double,
    /// The same, with asynchronous copies.
    DoubleAsync,
    /// The left block stays in registers of eight planes.
    Ordered,
    /// Planes that only read, asynchronously, beside planes that only multiply.
    Specialized,
    /// [`Simple`](Self::Simple) with the tensor memory accelerator of NVIDIA's Hopper and later.
    TmaSimple,
    /// [`Double`](Self::Double) with it.
    TmaDouble,
    /// [`Specialized`](Self::Specialized) with it.
    TmaSpecialized,
}

impl Pipeline {
    /// Whether it copies asynchronously, several numbers at once.
    pub fn is_asynchronous(self) -> bool {
        !matches!(
            self,
            Pipeline::Simple | Pipeline::Double | Pipeline::Ordered
        )
    }
}

const PIPELINES: [(Pipeline, &str); 8] = [
    (Pipeline::Simple, "simple"),
    (Pipeline::Double, "double"),
    (Pipeline::DoubleAsync, "double-async"),
    (Pipeline::Ordered, "ordered-8"),
    (Pipeline::Specialized, "specialized"),
    (Pipeline::TmaSimple, "tma-simple"),
    (Pipeline::TmaDouble, "tma-double"),
    (Pipeline::TmaSpecialized, "tma-specialized"),
];

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// Tensor cores through cooperative matrices, which CUDA, Vulkan and Metal know.
    Cooperative,
    /// Tensor cores through their own instructions, with registers laid out by hand: CUDA.
    Manual,
    /// Ordinary cores: every device. CubeK has this for the pipelines [`Simple`](Pipeline::Simple) and
    /// [`Double`](Pipeline::Double).
    Ordinary,
}

const INSTRUCTIONS: [(Instruction, &str); 3] = [
    (Instruction::Cooperative, "cmma"),
    (Instruction::Manual, "mma"),
    (Instruction::Ordinary, "unit"),
];

/// A way to multiply matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ProductStrategy {
    /// How blocks are read.
    pub pipeline: Pipeline,
    /// What multiplies them.
    pub instruction: Instruction,
    /// Into how many parts the inner dimension is cut, each of which has cubes of its own; their results are added. A
    /// power of two.
    pub splits: u16,
}

impl ProductStrategy {
    /// One block after the other with cooperative matrices, and CubeK's sizes: every device with tensor cores for the
    /// operands has it.
    pub const PLAIN: Self = Self {
        pipeline: Pipeline::Simple,
        instruction: Instruction::Cooperative,
        splits: 1,
    };

    /// The same on ordinary cores: every device has it, for operands of any type and size.
    pub const ANYWHERE: Self = Self {
        instruction: Instruction::Ordinary,
        ..Self::PLAIN
    };
}

impl fmt::Display for ProductStrategy {
    /// As in `double mma split-4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pipeline = PIPELINES.iter().find(|(it, _)| *it == self.pipeline);
        f.write_str(pipeline.map_or("simple", |(_, name)| name))?;
        let instruction = INSTRUCTIONS.iter().find(|(it, _)| *it == self.instruction);
        write!(f, " {}", instruction.map_or("unit", |(_, name)| name))?;
        if self.splits > 1 {
            write!(f, " split-{}", self.splits)?;
        }
        Ok(())
    }
}

impl FromStr for ProductStrategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("{text:?} is no way to multiply matrices");
        let mut words = text.split(' ');
        let name = words.next().unwrap_or_default();
        let pipeline = PIPELINES.iter().find(|(_, it)| *it == name);
        let name = words.next().unwrap_or_default();
        let instruction = INSTRUCTIONS.iter().find(|(_, it)| *it == name);
        let mut strategy = Self {
            pipeline: pipeline.ok_or_else(unknown)?.0,
            instruction: instruction.ok_or_else(unknown)?.0,
            splits: 1,
        };
        for word in words {
            let splits = word.strip_prefix("split-").ok_or_else(unknown)?;
            let splits = splits.parse().ok().filter(|it: &u16| it.is_power_of_two());
            strategy.splits = splits.ok_or_else(unknown)?;
        }
        Ok(strategy)
    }
}

impl From<ProductStrategy> for String {
    fn from(strategy: ProductStrategy) -> Self {
        strategy.to_string()
    }
}

impl TryFrom<String> for ProductStrategy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The fastest way found for a shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedProduct {
    /// Sizes of the product.
    pub shape: ProductShape,
    /// How to multiply.
    pub strategy: ProductStrategy,
    /// Seconds of a product this way.
    pub seconds: f64,
    /// Seconds as the rule has it.
    pub seconds_by_rule: f64,
}

static TUNED: OnceLock<HashMap<ProductShape, ProductStrategy>> = OnceLock::new();

/// Has products of these shapes, and of others near them, computed as was found. Comes before the first product; a second
/// call does nothing.
pub fn use_tuned(found: &[TunedProduct]) {
    let table = found.iter().map(|it| (it.shape.class(), it.strategy));
    // The first table stays, so that a process computes a product one way.
    let _ = TUNED.set(table.collect());
}

/// What was found for a shape.
#[cfg_attr(
    not(feature = "cube"),
    allow(dead_code, reason = "GPU backends use it")
)]
pub(crate) fn tuned(shape: &ProductShape) -> Option<ProductStrategy> {
    TUNED.get()?.get(&shape.class()).copied()
}

static RECORDING: AtomicBool = AtomicBool::new(false);
static RECORDED: Mutex<Vec<ProductShape>> = Mutex::new(Vec::new());

/// The shapes of the products that `work` launches, each once, in a fixed order. Work on other threads is recorded, too.
pub fn products_of(work: impl FnOnce()) -> Vec<ProductShape> {
    let take = || std::mem::take(&mut *RECORDED.lock().unwrap_or_else(PoisonError::into_inner));
    take();
    RECORDING.store(true, Ordering::SeqCst);
    work();
    RECORDING.store(false, Ordering::SeqCst);
    let mut shapes = take();
    shapes.sort_by_cached_key(ToString::to_string);
    shapes.dedup();
    shapes
}

/// Notes a product, if somebody asked.
#[cfg_attr(
    not(feature = "cube"),
    allow(dead_code, reason = "GPU backends use it")
)]
pub(crate) fn note(shape: &ProductShape) {
    if RECORDING.load(Ordering::Relaxed) {
        let mut recorded = RECORDED.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.push(*shape);
    }
}

/// What a search has just tried.
#[derive(Clone, Copy, Debug)]
pub struct TuneProgress<'a> {
    /// For this shape.
    pub shape: &'a ProductShape,
    /// This way.
    pub strategy: ProductStrategy,
    /// Seconds of a product, or why it is none: the device does not have this way, or computes something else.
    pub seconds: Result<f64, &'a str>,
    /// How much of the search is done, from 0 to 1.
    pub done: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rows: usize) -> ProductShape {
        ProductShape {
            batches: 1,
            rows,
            inner: 768,
            columns: 3072,
            lhs_transposed: false,
            rhs_transposed: true,
            operands: DType::BF16,
            result: DType::F32,
        }
    }

    #[test]
    fn a_way_is_read_as_it_is_written() {
        for (pipeline, _) in PIPELINES {
            for (instruction, _) in INSTRUCTIONS {
                for splits in [1, 4] {
                    let way = ProductStrategy {
                        pipeline,
                        instruction,
                        splits,
                    };
                    assert_eq!(way.to_string().parse(), Ok(way));
                }
            }
        }
        assert_eq!(ProductStrategy::PLAIN.to_string(), "simple cmma");
        assert_eq!(ProductStrategy::ANYWHERE.to_string(), "simple unit");
        for text in [
            "",
            "simple",
            "quick mma",
            "simple wmma",
            "simple mma split-3",
            "simple mma split-0",
        ] {
            assert!(text.parse::<ProductStrategy>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_shape_says_what_it_is() {
        let shape = shape(8192);
        assert_eq!(shape.to_string(), "8192×768 · 768×3072t, BF16 to F32");
        assert_eq!(shape.flops(), 2.0 * 8192.0 * 768.0 * 3072.0);
    }

    #[test]
    fn what_was_found_holds_for_shapes_near_it() {
        let found = TunedProduct {
            shape: shape(8192),
            strategy: "double mma".parse().expect("is one"),
            seconds: 1e-4,
            seconds_by_rule: 2e-4,
        };
        let text = serde_json::to_string(&found).expect("is JSON");
        assert_eq!(
            serde_json::from_str::<TunedProduct>(&text).ok(),
            Some(found.clone())
        );
        assert_eq!(tuned(&shape(8192)), None);
        use_tuned(std::slice::from_ref(&found));
        assert_eq!(tuned(&shape(8000)), Some(found.strategy));
        assert_eq!(tuned(&shape(4096)), None);
    }

    #[test]
    fn products_are_noted_once_and_only_when_asked_for() {
        note(&shape(1));
        let noted = products_of(|| {
            [3, 2, 3]
                .map(|rows| note(&shape(rows)))
                .into_iter()
                .collect()
        });
        assert_eq!(noted, [shape(2), shape(3)]);
        note(&shape(4));
        assert_eq!(products_of(|| {}), []);
    }
}
