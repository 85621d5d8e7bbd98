//! Dropout masks that are computed, not stored.
//!
//! Whether an element stays is a function of the call's seed and of the element's matrix, row and column, so that the
//! backward pass finds the same mask: Philox 4x32 with seven rounds (Salmon et al. 2011, "Parallel random numbers: as easy
//! as 1, 2, 3", table 2), a word for each of four columns. The seed of a call is drawn on the device from the backend's
//! random numbers, so that `Backend::seed` makes masks repeatable and the host waits for nothing.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::tensor::empty;

/// A mask, by its seed.
#[derive(Clone, Debug)]
pub(super) struct Mask<R: CubeRuntime> {
    /// Four numbers below 2^24, on the device.
    seed: CubeTensor<R>,
    /// Words below it are dropped.
    pub threshold: u32,
    /// What is left is multiplied by.
    pub scale: f32,
}

impl<R: CubeRuntime> Mask<R> {
    /// A mask with a seed from the backend's random numbers; `None`, and nothing drawn, where nothing is dropped. `prob` is
    /// the share that is dropped, in `[0, 1)`.
    pub(super) fn draw(prob: f64, like: &CubeTensor<R>) -> Option<Self> {
        (prob > 0.0).then(|| {
            let seed = empty(like, [4], DType::U32);
            let (output, dtype) = (seed.clone().binding(), DType::U32.into());
            let client = seed.client.clone();
            // The only error that the call can give is a launch's, and it says that there is none.
            let _ = cubek::random::random_uniform(&client, 0.0, 16_777_216.0, output, dtype);
            Self {
                seed,
                threshold: (prob * 2f64.powi(32)) as u32,
                scale: (1.0 / (1.0 - prob)) as f32,
            }
        })
    }
}

/// A mask as kernels take it.
#[derive(CubeType, CubeLaunch)]
pub(super) struct MaskArg {
    seed: ComptimeOption<Array<u32>>,
    threshold: u32,
    scale: f32,
}

/// What a launch takes for a mask, or for none.
pub(super) fn mask_arg<R: CubeRuntime>(mask: Option<&Mask<R>>) -> MaskArgLaunch<R> {
    let seed = match mask {
        Some(mask) => ComptimeOptionArgs::Some(mask.seed.clone().into_array_arg()),
        None => ComptimeOptionArgs::None,
    };
    let (threshold, scale) = mask.map_or((0, 1.0), |mask| (mask.threshold, mask.scale));
    MaskArgLaunch::new(seed, threshold, scale)
}

#[cube]
impl MaskArg {
    /// What the elements of a row are multiplied by, from column `N column` on: 0, or 1 over the share that stays.
    pub(super) fn factors<N: Size>(
        &self,
        matrix: usize,
        row: usize,
        column: usize,
    ) -> Vector<f32, N> {
        #[comptime]
        match &self.seed {
            ComptimeOption::Some(seed) => {
                let first = seed[0] ^ (seed[1] << 8u32);
                let second = seed[2] ^ (seed[3] << 8u32);
                let mut factors = Vector::<f32, N>::empty();
                let lanes = N::value().comptime();
                if comptime!(lanes == 4) {
                    let words = philox(column as u32, row as u32, matrix as u32, first, second);
                    #[unroll]
                    for lane in 0..N::value() {
                        factors[lane] = self.factor(words[lane]);
                    }
                } else {
                    #[unroll]
                    for lane in 0..N::value() {
                        let at = (column * comptime!(lanes) + lane) as u32;
                        let words = philox(at / 4, row as u32, matrix as u32, first, second);
                        factors[lane] = self.factor(words[(at % 4) as usize]);
                    }
                }
                factors
            }
            ComptimeOption::None => Vector::<f32, N>::new(1.0),
        }
    }

    fn factor(&self, word: u32) -> f32 {
        select(word >= self.threshold, self.scale, 0.0f32)
    }
}

/// Four words for a counter of three, and a key of two.
#[cube]
fn philox(column: u32, row: u32, matrix: u32, first: u32, second: u32) -> Array<u32> {
    let mut words = Array::<u32>::new(4usize);
    let mut a = column;
    let mut b = row;
    let mut c = matrix;
    let mut d = 0u32;
    let mut key = first;
    let mut other = second;
    #[unroll]
    for _ in 0..7 {
        let low = a * 0xd251_1f53u32;
        let high = u32::mul_hi(a, 0xd251_1f53u32);
        let other_low = c * 0xcd9e_8d57u32;
        let other_high = u32::mul_hi(c, 0xcd9e_8d57u32);
        a = other_high ^ b ^ key;
        b = other_low;
        c = high ^ d ^ other;
        d = low;
        key += 0x9e37_79b9u32;
        other += 0xbb67_ae85u32;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
    words
}

#[cfg(test)]
#[cube(launch)]
fn factors_kernel<N: Size>(
    output: &mut Array<Vector<f32, N>>,
    mask: &MaskArg,
    rows: usize,
    columns: usize,
) {
    if ABSOLUTE_POS < output.len() {
        let row = ABSOLUTE_POS / columns;
        output[ABSOLUTE_POS] = mask.factors::<N>(row / rows, row % rows, ABSOLUTE_POS % columns);
    }
}

/// A mask as numbers, for tests: `[matrices rows, width]`.
#[cfg(test)]
pub(super) fn factors<R: CubeRuntime>(
    mask: &Mask<R>,
    [matrices, rows, width]: [usize; 3],
) -> CubeTensor<R> {
    use super::tensor::{elementwise, lanes};

    let output = empty(&mask.seed, [matrices * rows, width], DType::F32);
    let lanes = lanes(width);
    let (count, dim) = elementwise(matrices * rows * width / lanes);
    factors_kernel::launch(
        &mask.seed.client,
        count,
        dim,
        lanes,
        output.clone().into_array_arg(),
        mask_arg(Some(mask)),
        rows,
        width / lanes,
    );
    output
}
