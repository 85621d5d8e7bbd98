//! CubeK's ways to multiply matrices, and which one is taken by rule.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::ComputeClient;
use cubecl::prelude::*;
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems, MatmulSetupError};
use cubek::matmul::launch::{Strategy, launch_ref};
use cubek::matmul::routines::BlueprintStrategy::Inferred;
use cubek::matmul::routines::ordered_double_buffering::OrderedSelectionArgs;
use cubek::std::InputBinding;

use crate::products::{Instruction, Pipeline, ProductShape, ProductStrategy};

/// Products below this many operations are computed the plain way: what a better one would save is less than what its kernel
/// takes to compile, a second or two.
const LARGE: f64 = 5e8;

/// Products whose result has at most so many numbers are cut along a long inner dimension.
const SMALL_RESULT: usize = 1 << 20;

/// The way that a product takes unless another was found to be faster. It depends on the shape and on what the device has,
/// not on how large the device is: equal devices compute equal numbers.
///
/// Measured on an NVIDIA H200 (`docs/src/performance.md`).
pub(super) fn by_rule<R: Runtime>(
    shape: &ProductShape,
    client: &ComputeClient<R>,
) -> ProductStrategy {
    let features = &client.properties().features;
    if features.matmul.mma.is_empty() || shape.flops() < LARGE {
        return ProductStrategy::PLAIN;
    }
    let is_half = matches!(shape.operands, DType::F16 | DType::BF16);
    let is_transposed = shape.lhs_transposed || shape.rhs_transposed;
    let pipeline = match (features.tma.is_empty(), shape.batches) {
        (_, 2..) if !is_half => return ProductStrategy::PLAIN,
        (true, _) => Pipeline::DoubleAsync,
        (false, 2..) => Pipeline::TmaSimple,
        (false, _) if is_transposed => Pipeline::TmaSpecialized,
        (false, _) => Pipeline::TmaDouble,
    };
    let is_long = shape.inner >= 4096 && shape.rows * shape.columns <= SMALL_RESULT;
    ProductStrategy {
        pipeline,
        instruction: Instruction::Manual,
        splits: if is_long && shape.batches == 1 { 4 } else { 1 },
    }
}

/// Launches a product.
///
/// # Errors
/// If the device, or the shape, does not allow this way. Nothing was launched then.
pub(super) fn launch<R: CubeRuntime>(
    strategy: ProductStrategy,
    lhs: &CubeTensor<R>,
    rhs: &CubeTensor<R>,
    output: &CubeTensor<R>,
) -> Result<(), MatmulSetupError> {
    let types = MatmulGlobalElems {
        lhs: lhs.dtype.into(),
        rhs: rhs.dtype.into(),
        out: output.dtype.into(),
    };
    if strategy.pipeline.is_asynchronous() && ![lhs, rhs].into_iter().all(is_round) {
        return Err(MatmulSetupError::InvalidConfig(Box::new(
            "asynchronous copies take 16 bytes at once, and a row is no multiple of that",
        )));
    }
    let Some(strategy) = cubek(strategy) else {
        return Err(MatmulSetupError::InvalidConfig(Box::new(
            "this pipeline is for tensor cores",
        )));
    };
    let mut elems = MatmulElems::from_globals(&types);
    let client = &output.client;
    launch_ref(
        &strategy,
        client,
        InputBinding::new(lhs.clone().binding(), types.lhs),
        InputBinding::new(rhs.clone().binding(), types.rhs),
        output.clone().binding(),
        &mut elems,
    )
}

/// Whether the matrix's sizes are multiples of 16 bytes.
fn is_round<R: CubeRuntime>(matrix: &CubeTensor<R>) -> bool {
    let shape = matrix.meta.shape();
    let bytes = |size: &usize| size * matrix.dtype.size();
    shape[shape.len() - 2..]
        .iter()
        .map(bytes)
        .all(|bytes| bytes.is_multiple_of(16))
}

/// As CubeK names it; `None` for what it does not have.
fn cubek(strategy: ProductStrategy) -> Option<Strategy> {
    let manual = match strategy.instruction {
        Instruction::Manual => true,
        Instruction::Cooperative => false,
        Instruction::Ordinary => {
            return match strategy.pipeline {
                Pipeline::Simple => Some(Strategy::SimpleUnit(Default::default())),
                Pipeline::Double => Some(Strategy::DoubleUnit(Default::default())),
                _ => None,
            };
        }
    };
    Some(match strategy.pipeline {
        Pipeline::Simple if manual => Strategy::SimpleCyclicMma(Default::default()),
        Pipeline::Simple => Strategy::SimpleCyclicCmma(Default::default()),
        Pipeline::Double if manual => Strategy::DoubleCyclicMma(Default::default()),
        Pipeline::Double => Strategy::DoubleCyclicCmma(Default::default()),
        Pipeline::DoubleAsync if manual => Strategy::DoubleAsyncCyclicMma(Default::default()),
        Pipeline::DoubleAsync => Strategy::DoubleAsyncCyclicCmma(Default::default()),
        Pipeline::Ordered => {
            let args = Inferred(OrderedSelectionArgs {
                partition_k: Some(2),
                row_count: Some(8),
                rows_per_plane: Some(2),
                ..Default::default()
            });
            match manual {
                true => Strategy::OrderedDoubleMma(args),
                false => Strategy::OrderedDoubleCmma(args),
            }
        }
        Pipeline::Specialized if manual => Strategy::SpecializedCyclicMma(Default::default()),
        Pipeline::Specialized => Strategy::SpecializedCyclicCmma(Default::default()),
        Pipeline::TmaSimple if manual => Strategy::SimpleTmaMma(Default::default()),
        Pipeline::TmaSimple => Strategy::SimpleTmaCmma(Default::default()),
        Pipeline::TmaDouble if manual => Strategy::DoubleTmaMma(Default::default()),
        Pipeline::TmaDouble => Strategy::DoubleTmaCmma(Default::default()),
        Pipeline::TmaSpecialized if manual => Strategy::SpecializedTmaMma(Default::default()),
        Pipeline::TmaSpecialized => Strategy::SpecializedTmaCmma(Default::default()),
    })
}
