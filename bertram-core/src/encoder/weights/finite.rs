//! Weights that are NaN or infinite, found before they are used.

use std::path::Path;

use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, TensorView};

use super::WeightsError;
use super::error::NotFinite;

/// Bytes that one thread looks through at a time; a multiple of every element's size.
const CHUNK: usize = 1 << 18;

/// Refuses a file some of whose tensors are not finite. One pass over the bytes as they are.
///
/// # Errors
/// [`WeightsError::NotFinite`] with every such tensor, in the order of `tensors`.
pub(super) fn check<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a TensorView<'a>)>,
) -> Result<(), WeightsError> {
    let tensors: Vec<NotFinite> = tensors
        .filter_map(|(name, view)| {
            let values = count(view);
            (values > 0).then(|| NotFinite {
                name: name.to_owned(),
                values,
                of: view.shape().iter().product(),
            })
        })
        .collect();
    if tensors.is_empty() {
        return Ok(());
    }
    Err(WeightsError::NotFinite {
        path: path.to_owned(),
        tensors,
    })
}

/// How many values of a float tensor are not finite as f32; 0 for other types.
fn count(view: &TensorView<'_>) -> usize {
    macro_rules! count {
        ($type:ty, $finite:expr) => {
            view.data()
                .par_chunks(CHUNK)
                .map(|chunk| {
                    chunk
                        .chunks_exact(size_of::<$type>())
                        .filter(|bytes| {
                            let mut array = [0; size_of::<$type>()];
                            array.copy_from_slice(bytes);
                            !$finite(<$type>::from_le_bytes(array))
                        })
                        .count()
                })
                .sum()
        };
    }
    match view.dtype() {
        // Weights become f32.
        Dtype::F64 => count!(f64, |value: f64| (value as f32).is_finite()),
        Dtype::F32 => count!(f32, f32::is_finite),
        Dtype::F16 => count!(f16, f16::is_finite),
        Dtype::BF16 => count!(bf16, bf16::is_finite),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_type_is_looked_through() {
        let bytes = |values: &[f64], dtype| -> Vec<u8> {
            let encode = |value: f64| match dtype {
                Dtype::F64 => value.to_le_bytes().to_vec(),
                Dtype::F32 => (value as f32).to_le_bytes().to_vec(),
                Dtype::F16 => f16::from_f64(value).to_le_bytes().to_vec(),
                _ => bf16::from_f64(value).to_le_bytes().to_vec(),
            };
            values.iter().flat_map(|value| encode(*value)).collect()
        };
        let values = [1.0, f64::NAN, -0.0, f64::INFINITY, f64::NEG_INFINITY, 6e4];
        for dtype in [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::BF16] {
            let data = bytes(&values, dtype);
            let view = TensorView::new(dtype, vec![2, 3], &data).expect("a tensor");
            assert_eq!(count(&view), 3, "{dtype:?}");
            let error = check(Path::new("file"), [("name", &view)].into_iter());
            let text = error.expect_err("not finite").to_string();
            assert!(text.contains("`name` (3 of 6 values)"), "{text}");
        }
        let large = bytes(&[1e300], Dtype::F64);
        let view = TensorView::new(Dtype::F64, vec![1], &large).expect("a tensor");
        assert_eq!(count(&view), 1, "infinite as f32");
        let integers = [255; 8];
        let view = TensorView::new(Dtype::I64, vec![1], &integers).expect("a tensor");
        assert_eq!(count(&view), 0);
    }
}
