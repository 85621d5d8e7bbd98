//! What LibTorch has and `tch` has no call for: `aten.cpp`, called safely.
#![allow(
    unsafe_code,
    reason = "a foreign function has no other call; each call says why it is sound"
)]

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::AdamWStep;

type In = *const C_tensor;
type Out = *mut C_tensor;

unsafe extern "C" {
    fn bertram_error() -> *const c_char;
    fn bertram_built_with() -> *const c_char;
    fn bertram_show_config() -> *const c_char;
    fn bertram_configure(tf32: bool) -> bool;
    fn bertram_peak_memory(device: c_int, bytes: *mut u64) -> bool;
    fn bertram_addcmul(residual: In, one: In, other: In, scale: f64, result: *mut Out) -> bool;
    fn bertram_add_scaled(sum: In, other: In, factor: f64) -> bool;
    fn bertram_layer_norm_backward(
        gradient: In,
        input: In,
        mean: In,
        rstd: In,
        gamma: In,
        beta: In,
        wanted: *const bool,
        results: *mut Out,
    ) -> bool;
    fn bertram_attention(
        inputs: *const In,
        bias: In,
        heads: i64,
        dropout: f64,
        leaves: *mut Out,
        result: *mut Out,
    ) -> bool;
    fn bertram_attention_backward(
        gradient: In,
        result: In,
        leaves: *const In,
        gradients: *mut Out,
    ) -> bool;
    fn bertram_adamw(
        count: usize,
        parameters: *const In,
        gradients: *const In,
        first: *const In,
        second: *const In,
        rate: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        shrink: f64,
        factor: In,
    ) -> bool;
    fn bertram_inner_products(
        groups: usize,
        count: usize,
        tensors: *const In,
        result: *mut Out,
    ) -> bool;
}

/// A string that C++ keeps for the process, or for the thread until its next failure.
///
/// # Safety
/// The pointer is that of a string that ends in 0 and stays during the call.
unsafe fn text(pointer: *const c_char) -> String {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}

/// What went wrong in this thread's last call.
fn error() -> String {
    // SAFETY: the string is the thread's own, and changes only in a later call of this thread.
    unsafe { text(bertram_error()) }
}

/// # Panics
/// With LibTorch's message if a call failed: as `tch`'s own calls do, which have no other way under Burn's traits.
#[track_caller]
fn check(went_well: bool) {
    assert!(went_well, "LibTorch: {}", error());
}

/// Takes a tensor that C++ has made.
///
/// # Safety
/// The pointer is that of a tensor from `aten.cpp` that nobody else owns.
unsafe fn take(pointer: Out) -> Tensor {
    // SAFETY: the caller's promise; `tch` frees it as `torch-sys` does, with C++'s `delete`.
    unsafe { Tensor::from_ptr(pointer) }
}

fn pointers<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<In> {
    tensors.into_iter().map(Tensor::as_ptr).collect()
}

/// The version of LibTorch that this was compiled against.
pub(super) fn built_with() -> String {
    // SAFETY: a constant of the program.
    unsafe { text(bertram_built_with()) }
}

/// What the LibTorch that was loaded says of its build.
pub(super) fn show_config() -> String {
    // SAFETY: the string is made once and stays.
    unsafe { text(bertram_show_config()) }
}

/// Says whether f32 products may be TF32 products, and that results are to repeat.
pub(super) fn configure(tf32: bool) -> Result<(), String> {
    // SAFETY: no pointers.
    match unsafe { bertram_configure(tf32) } {
        true => Ok(()),
        false => Err(error()),
    }
}

/// Most bytes that the allocator of a CUDA device has held; `None` where LibTorch does not count.
pub(super) fn peak_memory(device: usize) -> Option<u64> {
    let mut bytes = 0;
    let device = c_int::try_from(device).ok()?;
    // SAFETY: the pointer is that of a live integer.
    unsafe { bertram_peak_memory(device, &raw mut bytes) }.then_some(bytes)
}

/// `residual + scale * one * other`.
pub(super) fn addcmul(residual: &Tensor, one: &Tensor, other: &Tensor, scale: f64) -> Tensor {
    let mut result = ptr::null_mut();
    // SAFETY: the tensors live, and `result` is taken once, after success.
    unsafe {
        check(bertram_addcmul(
            residual.as_ptr(),
            one.as_ptr(),
            other.as_ptr(),
            scale,
            &raw mut result,
        ));
        take(result)
    }
}

/// Adds `factor * other` to a sum, in place.
pub(super) fn add_scaled(sum: &Tensor, other: &Tensor, factor: f64) {
    // SAFETY: the tensors live.
    check(unsafe { bertram_add_scaled(sum.as_ptr(), other.as_ptr(), factor) });
}

/// What a LayerNorm's backward pass needs.
#[derive(Debug)]
pub(super) struct Normalised<'a> {
    pub(super) input: &'a Tensor,
    pub(super) mean: &'a Tensor,
    pub(super) rstd: &'a Tensor,
    pub(super) gamma: &'a Tensor,
    pub(super) beta: &'a Tensor,
}

/// Gradients of a LayerNorm's input, scale and shift, where wanted.
pub(super) fn layer_norm_backward(
    gradient: &Tensor,
    of: &Normalised<'_>,
    wanted: [bool; 3],
) -> [Option<Tensor>; 3] {
    let mut results = [ptr::null_mut(); 3];
    // SAFETY: the tensors live, both arrays have three elements, and each result is null or taken once.
    unsafe {
        check(bertram_layer_norm_backward(
            gradient.as_ptr(),
            of.input.as_ptr(),
            of.mean.as_ptr(),
            of.rstd.as_ptr(),
            of.gamma.as_ptr(),
            of.beta.as_ptr(),
            wanted.as_ptr(),
            results.as_mut_ptr(),
        ));
        results.map(|result| (!result.is_null()).then(|| take(result)))
    }
}

/// Multi-head attention as PyTorch chooses to compute it; with `record`, the leaves of PyTorch's own graph as well.
pub(super) fn attention(
    inputs: [&Tensor; 3],
    bias: &Tensor,
    heads: i64,
    dropout: f64,
    record: bool,
) -> (Tensor, Option<[Tensor; 3]>) {
    let mut leaves = [ptr::null_mut(); 3];
    let mut result = ptr::null_mut();
    let to_leaves = match record {
        true => leaves.as_mut_ptr(),
        false => ptr::null_mut(),
    };
    // SAFETY: the tensors live, arrays have three elements, and what was made is taken once.
    unsafe {
        check(bertram_attention(
            inputs.map(Tensor::as_ptr).as_ptr(),
            bias.as_ptr(),
            heads,
            dropout,
            to_leaves,
            &raw mut result,
        ));
        let leaves = record.then(|| leaves.map(|leaf| take(leaf)));
        (take(result), leaves)
    }
}

/// Gradients of the leaves of [`attention`].
pub(super) fn attention_backward(
    gradient: &Tensor,
    result: &Tensor,
    leaves: [&Tensor; 3],
) -> [Tensor; 3] {
    let mut gradients = [ptr::null_mut(); 3];
    // SAFETY: the tensors live, arrays have three elements, and each gradient is taken once.
    unsafe {
        check(bertram_attention_backward(
            gradient.as_ptr(),
            result.as_ptr(),
            leaves.map(Tensor::as_ptr).as_ptr(),
            gradients.as_mut_ptr(),
        ));
        gradients.map(|gradient| take(gradient))
    }
}

/// Parameters with their gradients and moments, all contiguous, f32 and of one shape each.
#[derive(Debug, Default)]
pub(super) struct AdamWTensors {
    pub(super) parameters: Vec<Tensor>,
    pub(super) gradients: Vec<Tensor>,
    pub(super) first: Vec<Tensor>,
    pub(super) second: Vec<Tensor>,
}

/// A step of all of them in place. A factor below 0 leaves everything as it is, though gradients change with any factor.
pub(super) fn adamw(tensors: &AdamWTensors, step: &AdamWStep, factor: Option<&Tensor>) {
    let AdamWTensors {
        parameters,
        gradients,
        first,
        second,
    } = tensors;
    let count = parameters.len();
    assert!(
        [gradients, first, second]
            .iter()
            .all(|it| it.len() == count)
    );
    let [parameters, gradients, first, second] =
        [parameters, gradients, first, second].map(pointers);
    // SAFETY: the tensors live, and every array has `count` elements; a null factor is none.
    let went_well = unsafe {
        bertram_adamw(
            count,
            parameters.as_ptr(),
            gradients.as_ptr(),
            first.as_ptr(),
            second.as_ptr(),
            step.rate,
            step.beta1,
            step.beta2,
            step.eps,
            step.shrink,
            factor.map_or(ptr::null(), Tensor::as_ptr),
        )
    };
    check(went_well);
}

/// The upper triangle of the Gram matrix, row by row, summed over groups of as many tensors each: `[pairs]` in f32.
pub(super) fn inner_products(groups: &[Vec<&Tensor>]) -> Option<Tensor> {
    let count = groups.first()?.len();
    assert!(count > 0 && groups.iter().all(|group| group.len() == count));
    let tensors = pointers(groups.iter().flatten().copied());
    let mut result = ptr::null_mut();
    // SAFETY: the tensors live, the array has groups times count elements, and the result is taken once.
    unsafe {
        check(bertram_inner_products(
            groups.len(),
            count,
            tensors.as_ptr(),
            &raw mut result,
        ));
        Some(take(result))
    }
}
