//! The operations composed of Burn's own.
//!
//! Hidden states may be half-precision numbers with biases and LayerNorms in f32: matrix products are then computed in the
//! half, all else in f32, as PyTorch's autocast does (which leaves GELU in the half).

use burn::nn::Dropout;
use burn::tensor::{
    Bool, Int, Tensor, TensorData, TensorPrimitive, activation, backend::Backend, module,
};

use crate::{
    AdamWStep, AttentionOptions, Moments, Norm, Projections, Queries, TokenRows, at_least_f32,
};

/// What is added to the score of a masked key.
///
/// Far enough from any real score that its exponential is exactly 0 beside a real key's, in f32 as in half
/// precision; small enough that score plus bias stays finite in f16 (largest value 65,504), so that a row of padding
/// only gives finite (and unused) numbers instead of NaN.
pub const MASKED: f64 = -30_000.0;

/// [`Kernels::embedding_rows`](crate::Kernels::embedding_rows).
pub fn embedding_rows<B: Backend>(table: Tensor<B, 2>, ids: Tensor<B, 1, Int>) -> Tensor<B, 2> {
    module::embedding(table, ids.unsqueeze::<2>()).squeeze_dim(0)
}

/// [`Kernels::linear_layer`](crate::Kernels::linear_layer).
pub fn linear_layer<B: Backend>(
    input: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
) -> Tensor<B, 2> {
    let (weight, bias) = (weight.cast(input.dtype()), bias.cast(input.dtype()));
    module::linear(input, weight, Some(bias))
}

/// [`Kernels::product`](crate::Kernels::product).
pub fn product<B: Backend>(input: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
    let weight = weight.cast(input.dtype());
    input.matmul(weight)
}

/// [`Kernels::self_attention`](crate::Kernels::self_attention).
pub fn self_attention<B: Backend>(
    query: Tensor<B, 2>,
    key: Tensor<B, 2>,
    value: Tensor<B, 2>,
    bias: Tensor<B, 4>,
    options: AttentionOptions,
) -> Tensor<B, 2> {
    self_attention_with(query, key, value, bias, options.heads, |probabilities| {
        dropout(probabilities, options.dropout)
    })
}

/// [`Kernels::projected_attention`](crate::Kernels::projected_attention).
pub fn projected_attention<B: Backend>(
    hidden: Tensor<B, 2>,
    projections: Projections<B>,
    bias: Tensor<B, 4>,
    options: AttentionOptions,
) -> Tensor<B, 2> {
    projected_attention_with(hidden, projections, bias, options.heads, |probabilities| {
        dropout(probabilities, options.dropout)
    })
}

/// [`projected_attention`] with a dropout of the caller's, as [`self_attention_with`] takes it.
pub fn projected_attention_with<B: Backend>(
    hidden: Tensor<B, 2>,
    projections: Projections<B>,
    bias: Tensor<B, 4>,
    heads: usize,
    dropout: impl FnOnce(Tensor<B, 4>) -> Tensor<B, 4>,
) -> Tensor<B, 2> {
    let [query, key, value] =
        (projections.each()).map(|(weight, bias)| linear_layer(hidden.clone(), weight, bias));
    self_attention_with(query, key, value, bias, heads, dropout)
}

/// [`Kernels::packed_attention`](crate::Kernels::packed_attention).
pub fn packed_attention<B: Backend>(
    hidden: Tensor<B, 2>,
    projections: Projections<B>,
    rows: &TokenRows,
    queries: Queries,
    options: AttentionOptions,
) -> Tensor<B, 2> {
    packed_attention_with(hidden, projections, rows, queries, options.heads, |it| {
        dropout(it, options.dropout)
    })
}

/// [`packed_attention`] with a dropout of the caller's, which gets the probabilities `[batch, heads, padded, padded]`.
pub fn packed_attention_with<B: Backend>(
    hidden: Tensor<B, 2>,
    projections: Projections<B>,
    rows: &TokenRows,
    queries: Queries,
    heads: usize,
    dropout: impl FnOnce(Tensor<B, 4>) -> Tensor<B, 4>,
) -> Tensor<B, 2> {
    let device = hidden.device();
    let (batch, padded) = (rows.batch(), rows.padded());
    let bias: Vec<f32> = (0..batch)
        .flat_map(|sequence| {
            let length = rows.of(sequence).len();
            (0..padded).map(move |at| if at < length { 0.0 } else { MASKED as f32 })
        })
        .collect();
    let bias = Tensor::from_data(TensorData::new(bias, [batch, 1, 1, padded]), &device);
    let hidden = pick_rows(hidden, &rows.for_padded());
    let context = projected_attention_with(hidden, projections, bias, heads, dropout);
    let read: Vec<usize> = match queries {
        Queries::All => rows.in_padded(),
        Queries::First => (0..batch).map(|sequence| sequence * padded).collect(),
    };
    pick_rows(context, &read)
}

/// Some rows of a matrix, in this order.
pub fn pick_rows<B: Backend>(matrix: Tensor<B, 2>, rows: &[usize]) -> Tensor<B, 2> {
    let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
    let count = rows.len();
    let data = TensorData::new(rows, [count]);
    let rows = Tensor::<B, 1, Int>::from_data(data, &matrix.device());
    matrix.select(0, rows)
}

/// [`self_attention`] with a dropout of the caller's, which gets the probabilities `[batch, heads, sequence, sequence]`.
pub fn self_attention_with<B: Backend>(
    query: Tensor<B, 2>,
    key: Tensor<B, 2>,
    value: Tensor<B, 2>,
    bias: Tensor<B, 4>,
    heads: usize,
    dropout: impl FnOnce(Tensor<B, 4>) -> Tensor<B, 4>,
) -> Tensor<B, 2> {
    let [batch, _, _, sequence] = bias.dims();
    let [rows, width] = query.dims();
    let head = width / heads;
    let split = [batch, sequence, heads, head];

    // The scale goes on the queries, the smallest of the tensors it could go on.
    let query = query * (1.0 / (head as f64).sqrt());
    let query = query.reshape(split).swap_dims(1, 2);
    let key = key.reshape(split).permute([0, 2, 3, 1]);
    let value = value.reshape(split).swap_dims(1, 2);
    let scores = at_least_f32(query.matmul(key)) + at_least_f32(bias);
    let probabilities = dropout(activation::softmax(scores, 3));
    let context = probabilities.cast(value.dtype()).matmul(value);
    context.swap_dims(1, 2).reshape([rows, width])
}

/// [`Kernels::bias_gelu`](crate::Kernels::bias_gelu).
pub fn bias_gelu<B: Backend>(input: Tensor<B, 2>, bias: Tensor<B, 1>) -> Tensor<B, 2> {
    let dtype = input.dtype();
    gelu(at_least_f32(input) + at_least_f32(bias).unsqueeze()).cast(dtype)
}

/// The exact GELU, element by element, with its exact derivative: Burn 0.21's own (`gelu_backward`) is the derivative of
/// the tanh approximation, off by up to 1e-3, which golden gradients show.
pub fn gelu<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    if !B::ad_enabled(&x.device()) {
        return activation::gelu(x);
    }
    let phi = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0;
    x * phi * 0.5
}

/// [`Kernels::residual_layer_norm`](crate::Kernels::residual_layer_norm).
pub fn residual_layer_norm<B: Backend>(
    input: Tensor<B, 2>,
    bias: Tensor<B, 1>,
    residual: Tensor<B, 2>,
    norm: Norm<B>,
    prob: f64,
) -> Tensor<B, 2> {
    residual_layer_norm_with(input, bias, residual, norm, |x| dropout(x, prob))
}

/// [`residual_layer_norm`] with a dropout of the caller's.
pub fn residual_layer_norm_with<B: Backend>(
    input: Tensor<B, 2>,
    bias: Tensor<B, 1>,
    residual: Tensor<B, 2>,
    norm: Norm<B>,
    dropout: impl FnOnce(Tensor<B, 2>) -> Tensor<B, 2>,
) -> Tensor<B, 2> {
    let dtype = input.dtype();
    let output = dropout(at_least_f32(input) + at_least_f32(bias).unsqueeze());
    layer_norm(output + at_least_f32(residual), norm).cast(dtype)
}

/// [`Kernels::layer_norm_dropout`](crate::Kernels::layer_norm_dropout).
pub fn layer_norm_dropout<B: Backend>(
    input: Tensor<B, 2>,
    norm: Norm<B>,
    prob: f64,
) -> Tensor<B, 2> {
    dropout(layer_norm(input, norm), prob)
}

/// LayerNorm over the rows of `[rows, hidden]` (Ba et al. 2016).
pub fn layer_norm<B: Backend>(input: Tensor<B, 2>, norm: Norm<B>) -> Tensor<B, 2> {
    let dtype = input.dtype();
    let output = B::layer_norm(
        at_least_f32(input).into_primitive().tensor(),
        at_least_f32(norm.gamma).into_primitive().tensor(),
        Some(at_least_f32(norm.beta).into_primitive().tensor()),
        norm.eps,
    );
    let output: Tensor<B, 2> = Tensor::from_primitive(TensorPrimitive::Float(output));
    output.cast(dtype)
}

fn dropout<B: Backend, const D: usize>(input: Tensor<B, D>, prob: f64) -> Tensor<B, D> {
    Dropout { prob }.forward(input)
}

/// [`Kernels::adamw`](crate::Kernels::adamw).
pub fn adamw<B: Backend, const D: usize>(
    parameter: Tensor<B, D>,
    gradient: Tensor<B, D>,
    gradient_factor: Option<&Tensor<B, 1>>,
    moments: Option<Moments<B, D>>,
    step: &AdamWStep,
) -> (Tensor<B, D>, Moments<B, D>) {
    let Some(factor) = gradient_factor else {
        return adamw_step(parameter, gradient, moments, step);
    };
    let left_out: Tensor<B, D, Bool> = factor.clone().lower_elem(0.0).unsqueeze();
    let left_out = left_out.expand(gradient.shape());
    let factor: Tensor<B, D> = factor.clone().cast(gradient.dtype()).unsqueeze();
    // Filled, and not multiplied by 0: what is left out may be infinite.
    let gradient = (gradient * factor).mask_fill(left_out.clone(), 0.0);
    // A gradient of 0 still moves a parameter by its moments: so both keep their places where the step is left out.
    let kept = |new: Tensor<B, D>, old: Tensor<B, D>| new.mask_where(left_out.clone(), old);
    let zeros = || gradient.zeros_like();
    let before = moments.clone().unwrap_or_else(|| Moments {
        first: zeros(),
        second: zeros(),
    });
    let (new, after) = adamw_step(parameter.clone(), gradient.clone(), moments, step);
    let after = Moments {
        first: kept(after.first, before.first),
        second: kept(after.second, before.second),
    };
    (kept(new, parameter), after)
}

fn adamw_step<B: Backend, const D: usize>(
    parameter: Tensor<B, D>,
    gradient: Tensor<B, D>,
    moments: Option<Moments<B, D>>,
    step: &AdamWStep,
) -> (Tensor<B, D>, Moments<B, D>) {
    let mut first = gradient.clone() * (1.0 - step.beta1);
    let mut second = gradient.square() * (1.0 - step.beta2);
    if let Some(before) = moments {
        first = before.first * step.beta1 + first;
        second = before.second * step.beta2 + second;
    }
    let change = first.clone() / (second.clone().sqrt() + step.eps) * step.rate;
    let mut parameter = parameter - change;
    if step.shrink < 1.0 {
        parameter = parameter * step.shrink;
    }
    (parameter, Moments { first, second })
}

/// [`Kernels::inner_products`](crate::Kernels::inner_products).
pub fn inner_products<B: Backend, const D: usize>(tensors: &[Tensor<B, D>]) -> Vec<Tensor<B, 1>> {
    let rows = tensors.iter().enumerate();
    rows.flat_map(|(row, one)| {
        let others = &tensors[row..];
        others
            .iter()
            .map(move |other| (one.clone() * other.clone()).sum())
    })
    .collect()
}

/// [`Kernels::weighted_sum`](crate::Kernels::weighted_sum).
pub fn weighted_sum<B: Backend, const D: usize>(
    terms: Vec<(Tensor<B, D>, f64)>,
) -> Option<Tensor<B, D>> {
    let weighted = terms.into_iter().map(|(tensor, weight)| match weight {
        1.0 => tensor,
        weight => tensor * weight,
    });
    weighted.reduce(|sum, term| sum + term)
}

/// [`Kernels::moving_average`](crate::Kernels::moving_average).
pub fn moving_average<B: Backend, const D: usize>(
    average: Tensor<B, D>,
    value: Tensor<B, D>,
    decay: f64,
) -> Tensor<B, D> {
    (value - average.clone()) * (1.0 - decay) + average
}
