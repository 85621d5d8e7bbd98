//! f32 products on CUDA without TF32.

use std::sync::Arc;

use burn::backend::cuda::CudaDevice;
use cubecl::Runtime;
use cubecl::client::ComputeClient;
use cubecl::cuda::CudaRuntime;
use cubecl::device::{Device, DeviceService};
use cubecl::ir::features::Features;
use cubecl::ir::{ElemType, FloatKind, StorageType};
use cubecl::server::ComputeServer;

type Server = <CudaRuntime as Runtime>::Server;

/// Makes the device one without TF32: its tensor cores take no f32 operands, and every f32 product, Burn's own as well as
/// ours, is computed in f32.
///
/// CubeK takes TF32 for f32 operands wherever the device has it (`adjust_dtypes` of cubek-matmul 0.2), and has no switch for
/// it; what a device has is known when its server is made. So this makes the server, and has to come before anything else is
/// asked of the device.
///
/// # Panics
/// If the device was used before, or is not there.
pub fn forbid_tf32(device: &CudaDevice) {
    let server = <Server as DeviceService>::init(device.to_id());
    let utilities = ComputeServer::utilities(&server);
    #[allow(unsafe_code)]
    // SAFETY: the pointer is that of a live `Arc`. The server was made by this function on this thread, and nothing but it
    // and `utilities` holds the `Arc`: no reference into it is alive, and no other thread knows it yet.
    unsafe {
        let utilities = Arc::as_ptr(&utilities).cast_mut();
        forget_tf32(&mut (*utilities).properties.features);
    }
    drop(utilities);
    ComputeClient::<CudaRuntime>::init(device, server);
}

/// Takes TF32 out of what a device has.
fn forget_tf32(features: &mut Features) {
    let tf32 = StorageType::Scalar(ElemType::Float(FloatKind::TF32));
    features.types.storage.remove(&tf32);
    let matmul = &mut features.matmul;
    for configs in [&mut matmul.cmma, &mut matmul.mma] {
        configs.retain(|config| config.a_type != tf32 && config.b_type != tf32);
    }
    matmul.ldmatrix.remove(&tf32);
    matmul.stmatrix.remove(&tf32);
}

#[cfg(test)]
mod tests {
    use cubecl::ir::features::{MmaConfig, TypeUsage};

    use super::*;

    #[test]
    fn nothing_but_tf32_is_taken_out() {
        let float = |kind| StorageType::Scalar(ElemType::Float(kind));
        let (tf32, bf16) = (float(FloatKind::TF32), float(FloatKind::BF16));
        let config = |operand| MmaConfig {
            a_type: operand,
            b_type: operand,
            cd_type: float(FloatKind::F32),
            m: 16,
            n: 16,
            k: 8,
        };
        let mut features = Features::default();
        for operand in [tf32, bf16] {
            features.types.storage.insert(operand, TypeUsage::all());
            features.matmul.cmma.insert(config(operand));
            features.matmul.mma.insert(config(operand));
        }
        forget_tf32(&mut features);
        assert!(!features.supports_type(tf32) && features.supports_type(bf16));
        for configs in [features.matmul.cmma, features.matmul.mma] {
            assert_eq!(Vec::from_iter(configs), [config(bf16)]);
        }
    }
}
