//! The choice between fused and composed kernels.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{Kernels, one_by_one, products_one_by_one};
use crate::adamw::{AdamWStep, AdamWUpdate, AdamWUpdated, Moments};
use crate::composed;
use crate::operands::{AttentionOptions, Norm, Projections};
use crate::token_rows::{Queries, RowDropout, TokenRows};

/// Which form of the kernels computes. Both give the same numbers but for rounding, and dropout masks of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelKind {
    /// The backend's own, where it has one.
    #[default]
    Fused,
    /// Composed of Burn's operations.
    Composed,
}

impl KernelKind {
    /// Its name in a config.
    pub fn name(self) -> &'static str {
        match self {
            KernelKind::Fused => "fused",
            KernelKind::Composed => "composed",
        }
    }

    /// [`Kernels::embedding_rows`].
    pub fn embedding_rows<B: Kernels>(
        self,
        table: Tensor<B, 2>,
        ids: Tensor<B, 1, Int>,
    ) -> Tensor<B, 2> {
        match self {
            KernelKind::Fused => B::embedding_rows(table, ids),
            KernelKind::Composed => composed::embedding_rows(table, ids),
        }
    }

    /// [`Kernels::linear_layer`].
    pub fn linear_layer<B: Kernels>(
        self,
        input: Tensor<B, 2>,
        weight: Tensor<B, 2>,
        bias: Tensor<B, 1>,
    ) -> Tensor<B, 2> {
        match self {
            KernelKind::Fused => B::linear_layer(input, weight, bias),
            KernelKind::Composed => composed::linear_layer(input, weight, bias),
        }
    }

    /// [`Kernels::product`].
    pub fn product<B: Kernels>(self, input: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            KernelKind::Fused => B::product(input, weight),
            KernelKind::Composed => composed::product(input, weight),
        }
    }

    /// [`Kernels::self_attention`].
    pub fn self_attention<B: Kernels>(
        self,
        query: Tensor<B, 2>,
        key: Tensor<B, 2>,
        value: Tensor<B, 2>,
        bias: Tensor<B, 4>,
        options: AttentionOptions,
    ) -> Tensor<B, 2> {
        match self {
            KernelKind::Fused => B::self_attention(query, key, value, bias, options),
            KernelKind::Composed => composed::self_attention(query, key, value, bias, options),
        }
    }

    /// [`Kernels::projected_attention`].
    pub fn projected_attention<B: Kernels>(
        self,
        hidden: Tensor<B, 2>,
        projections: Projections<B>,
        bias: Tensor<B, 4>,
        options: AttentionOptions,
    ) -> Tensor<B, 2> {
        match self {
            KernelKind::Fused => B::projected_attention(hidden, projections, bias, options),
            KernelKind::Composed => {
                composed::projected_attention(hidden, projections, bias, options)
            }
        }
    }

    /// [`Kernels::token_rows`]; composed kernels compute whole padded batches.
    pub fn token_rows<B: Kernels>(self, attention_mask: &Tensor<B, 2>) -> Option<TokenRows> {
        match self {
            KernelKind::Fused => B::token_rows(attention_mask),
            KernelKind::Composed => None,
        }
    }

    /// [`Kernels::packed_attention`].
    pub fn packed_attention<B: Kernels>(
        self,
        hidden: Tensor<B, 2>,
        projections: Projections<B>,
        rows: &TokenRows,
        queries: Queries,
        options: AttentionOptions,
    ) -> Tensor<B, 2> {
        match self {
            KernelKind::Fused => B::packed_attention(hidden, projections, rows, queries, options),
            KernelKind::Composed => {
                composed::packed_attention(hidden, projections, rows, queries, options)
            }
        }
    }

    /// [`Kernels::bias_gelu`].
    pub fn bias_gelu<B: Kernels>(self, input: Tensor<B, 2>, bias: Tensor<B, 1>) -> Tensor<B, 2> {
        match self {
            KernelKind::Fused => B::bias_gelu(input, bias),
            KernelKind::Composed => composed::bias_gelu(input, bias),
        }
    }

    /// [`Kernels::residual_layer_norm`].
    pub fn residual_layer_norm<B: Kernels>(
        self,
        input: Tensor<B, 2>,
        bias: Tensor<B, 1>,
        residual: Tensor<B, 2>,
        norm: Norm<B>,
        dropout: impl Into<RowDropout>,
    ) -> Tensor<B, 2> {
        match self {
            KernelKind::Fused => {
                B::residual_layer_norm(input, bias, residual, norm, dropout.into())
            }
            KernelKind::Composed => {
                composed::residual_layer_norm(input, bias, residual, norm, dropout.into().prob)
            }
        }
    }

    /// [`Kernels::layer_norm_dropout`].
    pub fn layer_norm_dropout<B: Kernels>(
        self,
        input: Tensor<B, 2>,
        norm: Norm<B>,
        dropout: impl Into<RowDropout>,
    ) -> Tensor<B, 2> {
        match self {
            KernelKind::Fused => B::layer_norm_dropout(input, norm, dropout.into()),
            KernelKind::Composed => composed::layer_norm_dropout(input, norm, dropout.into().prob),
        }
    }

    /// [`Kernels::adamw`].
    pub fn adamw<B: Kernels, const D: usize>(
        self,
        parameter: Tensor<B, D>,
        gradient: Tensor<B, D>,
        gradient_factor: Option<&Tensor<B, 1>>,
        moments: Option<Moments<B, D>>,
        step: &AdamWStep,
    ) -> (Tensor<B, D>, Moments<B, D>) {
        match self {
            KernelKind::Fused => B::adamw(parameter, gradient, gradient_factor, moments, step),
            KernelKind::Composed => {
                composed::adamw(parameter, gradient, gradient_factor, moments, step)
            }
        }
    }

    /// [`Kernels::adamw_all`].
    pub fn adamw_all<B: Kernels>(
        self,
        updates: Vec<AdamWUpdate<FloatTensor<B>>>,
        gradient_factor: Option<&Tensor<B, 1>>,
    ) -> Vec<AdamWUpdated<FloatTensor<B>>> {
        match self {
            KernelKind::Fused => B::adamw_all(updates, gradient_factor),
            KernelKind::Composed => one_by_one(self, updates, gradient_factor),
        }
    }

    /// [`Kernels::inner_products_all`].
    pub fn inner_products_all<B: Kernels>(
        self,
        groups: Vec<Vec<FloatTensor<B>>>,
    ) -> Option<Tensor<B, 1>> {
        match self {
            KernelKind::Fused => B::inner_products_all(groups),
            KernelKind::Composed => products_one_by_one(self, groups),
        }
    }

    /// [`Kernels::inner_products`].
    pub fn inner_products<B: Kernels, const D: usize>(
        self,
        tensors: &[Tensor<B, D>],
    ) -> Vec<Tensor<B, 1>> {
        match self {
            KernelKind::Fused => B::inner_products(tensors),
            KernelKind::Composed => composed::inner_products(tensors),
        }
    }

    /// [`Kernels::weighted_sum`].
    pub fn weighted_sum<B: Kernels, const D: usize>(
        self,
        terms: Vec<(Tensor<B, D>, f64)>,
    ) -> Option<Tensor<B, D>> {
        match self {
            KernelKind::Fused => B::weighted_sum(terms),
            KernelKind::Composed => composed::weighted_sum(terms),
        }
    }

    /// [`Kernels::moving_average`].
    pub fn moving_average<B: Kernels, const D: usize>(
        self,
        average: Tensor<B, D>,
        value: Tensor<B, D>,
        decay: f64,
    ) -> Tensor<B, D> {
        match self {
            KernelKind::Fused => B::moving_average(average, value, decay),
            KernelKind::Composed => composed::moving_average(average, value, decay),
        }
    }
}
