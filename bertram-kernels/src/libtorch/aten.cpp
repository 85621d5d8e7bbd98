// What `tch` 0.22 has no call for. Tensors come as pointers to `at::Tensor`, as `torch-sys` has them; what is made goes
// back as such a pointer, owned by the caller. No function throws: each says whether it went well, and `bertram_error`
// what did not.

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Version.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

using at::Tensor;

namespace {

thread_local std::string last_error;

template <typename F>
bool guarded(F&& work) {
  try {
    work();
    return true;
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "an unknown C++ exception";
  }
  return false;
}

Tensor* owned(Tensor tensor) {
  return new Tensor(std::move(tensor));
}

std::vector<Tensor> list(Tensor* const* tensors, size_t count) {
  std::vector<Tensor> list;
  list.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    list.push_back(*tensors[i]);
  }
  return list;
}

// Elements that are multiplied and added up in f32 before they go to a wider sum.
constexpr int64_t BLOCK = 4096;

Tensor inner_product(const Tensor& one, const Tensor& other, at::ScalarType wide) {
  const Tensor a = one.reshape({-1}), b = other.reshape({-1});
  const int64_t blocks = a.numel() / BLOCK, whole = blocks * BLOCK;
  Tensor sum = at::dot(a.slice(0, whole), b.slice(0, whole)).to(wide);
  if (blocks == 0) {
    return sum;
  }
  const auto rows = [&](const Tensor& x) { return x.slice(0, 0, whole).view({blocks, BLOCK}); };
  // One pass on all threads, without a tensor of products.
  const Tensor found = one.is_same(other) ? at::linalg_vector_norm(rows(a), 2, at::IntArrayRef{1}).to(wide).square()
                                          : (rows(a) * rows(b)).sum(at::IntArrayRef{1}).to(wide);
  return sum + found.sum();
}

} // namespace

extern "C" {

const char* bertram_error() {
  return last_error.c_str();
}

// The version of the headers that this was compiled with.
const char* bertram_built_with() {
  return TORCH_VERSION;
}

// What the library that was loaded says of its build.
const char* bertram_show_config() {
  static const std::string config = at::show_config();
  return config.c_str();
}

// How f32 products are computed where there is TF32, and that the same input gives the same output.
bool bertram_configure(bool tf32) {
  return guarded([&] {
    auto& context = at::globalContext();
    context.setFloat32MatmulPrecision(tf32 ? "high" : "highest");
    context.setBenchmarkCuDNN(false);
    context.setDeterministicCuDNN(true);
    // cuBLAS repeats its results with a workspace of a fixed size; it reads this when it is first used.
#ifndef _WIN32
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
#endif
    context.setDeterministicAlgorithms(true, /*warn_only=*/true);
    // Otherwise every tensor is written before it is written.
    context.setDeterministicFillUninitializedMemory(false);
  });
}

// Most bytes that the caching allocator of a CUDA device has held.
bool bertram_peak_memory(int device, uint64_t* bytes) {
  return guarded([&] {
    const auto stats = c10::getDeviceAllocator(at::kCUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(device));
    *bytes = static_cast<uint64_t>(stats.reserved_bytes[0].peak);
  });
}

// `residual + scale * one * other`, in one pass.
bool bertram_addcmul(const Tensor* residual, const Tensor* one, const Tensor* other, double scale, Tensor** result) {
  return guarded([&] { *result = owned(at::addcmul(*residual, *one, *other, scale)); });
}

// Adds `factor * other` to `sum`.
bool bertram_add_scaled(Tensor* sum, const Tensor* other, double factor) {
  return guarded([&] { sum->add_(*other, factor); });
}

// Gradients of input, scale and shift of a LayerNorm over the last dimension; null where not wanted.
bool bertram_layer_norm_backward(
    const Tensor* gradient,
    const Tensor* input,
    const Tensor* mean,
    const Tensor* rstd,
    const Tensor* gamma,
    const Tensor* beta,
    const bool* wanted,
    Tensor** results) {
  return guarded([&] {
    const std::array<bool, 3> mask{wanted[0], wanted[1], wanted[2]};
    auto found = at::native_layer_norm_backward(
        *gradient, *input, {input->size(-1)}, *mean, *rstd, *gamma, *beta, mask);
    results[0] = mask[0] ? owned(std::get<0>(std::move(found))) : nullptr;
    results[1] = mask[1] ? owned(std::get<1>(std::move(found))) : nullptr;
    results[2] = mask[2] ? owned(std::get<2>(std::move(found))) : nullptr;
  });
}

// Multi-head attention as PyTorch chooses to compute it, for matrices `[batch * sequence, hidden]`. Where `leaves` is
// given, PyTorch's own graph is kept: from the leaves, which it gets, to the result.
bool bertram_attention(
    const Tensor* const* inputs,
    const Tensor* bias,
    int64_t heads,
    double dropout,
    Tensor** leaves,
    Tensor** result) {
  return guarded([&] {
    const c10::AutoGradMode recording(leaves != nullptr);
    const int64_t batch = bias->size(0), sequence = bias->size(3);
    std::array<Tensor, 3> leaf, by_head;
    for (size_t i = 0; i < 3; ++i) {
      leaf[i] = inputs[i]->detach();
      if (leaves != nullptr) {
        leaf[i].set_requires_grad(true);
      }
      by_head[i] = leaf[i].view({batch, sequence, heads, -1}).transpose(1, 2);
    }
    const Tensor mask = bias->to(leaf[0].scalar_type()).expand({batch, heads, sequence, sequence});
    const Tensor context = at::scaled_dot_product_attention(by_head[0], by_head[1], by_head[2], mask, dropout);
    *result = owned(context.transpose(1, 2).reshape(inputs[0]->sizes()));
    for (size_t i = 0; leaves != nullptr && i < 3; ++i) {
      leaves[i] = owned(leaf[i]);
    }
  });
}

// Gradients of the leaves of `bertram_attention`.
bool bertram_attention_backward(
    const Tensor* gradient,
    const Tensor* result,
    const Tensor* const* leaves,
    Tensor** gradients) {
  return guarded([&] {
    const auto found = torch::autograd::grad({*result}, {*leaves[0], *leaves[1], *leaves[2]}, {*gradient});
    for (size_t i = 0; i < 3; ++i) {
      gradients[i] = owned(found[i]);
    }
  });
}

// A step of AdamW in the course's form of all these parameters, in place: they, their gradients and their moments are
// contiguous. A factor of less than 0 leaves everything as it is.
bool bertram_adamw(
    size_t count,
    Tensor* const* parameters,
    Tensor* const* gradients,
    Tensor* const* first,
    Tensor* const* second,
    double rate,
    double beta1,
    double beta2,
    double eps,
    double shrink,
    const Tensor* factor) {
  return guarded([&] {
    if (count == 0) {
      return;
    }
    const std::vector<Tensor> all = list(parameters, count);
    // The rate has the corrections of the moments' start in it. So many steps make PyTorch's own corrections 1.
    const Tensor steps = at::full({}, 1e15, all[0].options().dtype(at::kFloat));
    std::optional<Tensor> divisor, left_out;
    if (factor != nullptr) {
      const Tensor one = factor->reshape({}).to(at::kFloat);
      divisor = one.reciprocal();
      left_out = one.lt(0).to(at::kFloat);
    }
    at::_fused_adam_(
        all,
        list(gradients, count),
        list(first, count),
        list(second, count),
        {},
        std::vector<Tensor>(count, steps),
        rate,
        beta1,
        beta2,
        /*weight_decay=*/0.0,
        eps,
        /*amsgrad=*/false,
        /*maximize=*/false,
        divisor,
        left_out);
    if (shrink < 1.0) {
      if (left_out) {
        at::_foreach_mul_(all, at::where(*left_out > 0, 1.0, shrink).to(at::kFloat));
      } else {
        at::_foreach_mul_(all, shrink);
      }
    }
  });
}

// The upper triangle of the Gram matrix of `count` tensors, row by row, summed over the groups: `tensors` has group after
// group.
bool bertram_inner_products(size_t groups, size_t count, const Tensor* const* tensors, Tensor** result) {
  return guarded([&] {
    const auto wide = tensors[0]->is_mps() ? at::kFloat : at::kDouble;
    std::vector<Tensor> sums;
    for (size_t group = 0; group < groups; ++group) {
      const Tensor* const* of_group = tensors + group * count;
      size_t pair = 0;
      for (size_t row = 0; row < count; ++row) {
        for (size_t column = row; column < count; ++column, ++pair) {
          const Tensor product = inner_product(*of_group[row], *of_group[column], wide);
          if (group == 0) {
            sums.push_back(product);
          } else {
            sums[pair].add_(product);
          }
        }
      }
    }
    *result = owned(at::stack(sums).to(at::kFloat));
  });
}

} // extern "C"
