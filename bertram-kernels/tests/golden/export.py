"""Writes the reference values of the kernels' golden test.

    pip install numpy torch safetensors
    python bertram-kernels/tests/golden/export.py

Made with python 3.11, torch 2.15.0, safetensors 0.8.0.

Each operation of `bertram-kernels` in torch's own functions, in f64, with autograd's gradients for a given gradient of
the output. Dropout masks are computed here from the seed by the rule that `bertram-kernels/src/flex/dropout.rs` states
(SplitMix64's finaliser of the row, then two rounds of a 32-bit mixer of the column), so that the masks are checked, too.

Tensors are called `case/name`; a gradient is `case/d_name`. Numbers of a case (heads, eps, probability and seed of the
dropout) are in the file's metadata, as JSON.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)
rng = torch.Generator().manual_seed(11711)
tensors, numbers = {}, {}


def draw(*shape, scale=1.0):
    # What f32 holds exactly, so that both sides compute from the same numbers.
    return (torch.randn(*shape, generator=rng) * scale).float().double()


def mask(rows, columns, prob, seed):
    """Factors of a dropout mask: 0, or 1 / (1 - prob)."""
    if prob == 0:
        return torch.ones(rows, columns)
    with np.errstate(over="ignore"):
        u64, u32 = np.uint64, np.uint32
        key = u64(seed) + np.arange(1, rows + 1, dtype=u64) * u64(0x9E3779B97F4A7C15)
        key = (key ^ (key >> u64(30))) * u64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> u64(27))) * u64(0x94D049BB133111EB)
        key ^= key >> u64(31)
        first, second = key.astype(u32)[:, None], (key >> u64(32)).astype(u32)[:, None]
        bits = np.arange(columns, dtype=u32)[None] * u32(0x9E3779B1) + first
        bits = (bits ^ (bits >> u32(16))) * u32(0x7FEB352D)
        bits = (bits ^ (bits >> u32(15)) ^ second) * u32(0x846CA68B)
        bits ^= bits >> u32(16)
    return torch.from_numpy(bits >= u32(int(prob * 2**32))) / (1 - prob)


def case(name, op, inputs, constants=(), **values):
    """Runs `op` on leaves, and keeps inputs, output and gradients."""
    leaves = {key: value.clone().requires_grad_() for key, value in inputs.items()}
    output = op(**leaves)
    gradient = draw(*output.shape)
    output.backward(gradient)
    kept = dict(inputs, output=output.detach(), d_output=gradient, **dict(constants))
    kept |= {f"d_{key}": leaf.grad for key, leaf in leaves.items()}
    for key, value in kept.items():
        value = value if value.dtype == torch.int64 else value.float()
        tensors[f"{name}/{key}"] = value.contiguous()
    numbers[name] = values


DROPOUTS = {"": (0.0, 0), "_dropout_10": (0.1, 5), "_dropout_50": (0.5, 2**64 - 3)}

ids = torch.tensor([4, 0, 4, 4, 2])
case("embedding", lambda table: table[ids], {"table": draw(6, 3)}, {"ids": ids})
case(
    "linear",
    lambda input, weight, bias: F.linear(input, weight.T, bias),
    {"input": draw(9, 17), "weight": draw(17, 21), "bias": draw(21)},
)
case("gelu", lambda input, bias: F.gelu(input + bias), {"input": draw(7, 33, scale=3), "bias": draw(33)})
for suffix, (prob, seed) in DROPOUTS.items():
    rows, width = 11, 37
    factors = mask(rows, width, prob, seed)
    case(
        f"residual{suffix}",
        lambda input, bias, residual, gamma, beta: F.layer_norm((input + bias) * factors + residual, [width], gamma, beta, 1e-12),
        {"input": draw(rows, width), "bias": draw(width), "residual": draw(rows, width), "gamma": draw(width), "beta": draw(width)},
        prob=prob, seed=seed, eps=1e-12,
    )
    case(
        f"norm{suffix}",
        lambda input, gamma, beta: F.layer_norm(input, [width], gamma, beta, 1e-5) * factors,
        {"input": draw(rows, width), "gamma": draw(width), "beta": draw(width)},
        prob=prob, seed=seed, eps=1e-5,
    )
    for batch, sequence, heads, width_of_head, lengths in [(3, 7, 2, 5, [7, 4, 1]), (1, 33, 1, 8, [30]), (2, 1, 2, 4, [1, 1])]:
        bias = torch.where(torch.arange(sequence)[None] < torch.tensor(lengths)[:, None], 0.0, -30000.0)
        bias = bias.reshape(batch, 1, 1, sequence)
        of_attention = mask(batch * heads * sequence, sequence, prob, seed).reshape(batch, heads, sequence, sequence)

        def attention(query, key, value):
            query, key, value = (x.reshape(batch, sequence, heads, width_of_head).transpose(1, 2) for x in (query, key, value))
            if prob == 0:
                mixed = F.scaled_dot_product_attention(query, key, value, bias)
            else:
                scores = query @ key.transpose(2, 3) / width_of_head**0.5 + bias
                mixed = (scores.softmax(3) * of_attention) @ value
            return mixed.transpose(1, 2).reshape(batch * sequence, heads * width_of_head)

        shape = (batch * sequence, heads * width_of_head)
        case(
            f"attention_{sequence}{suffix}", attention,
            {"query": draw(*shape), "key": draw(*shape), "value": draw(*shape)}, {"bias": bias},
            prob=prob, seed=seed, heads=heads,
        )

# The course's AdamW (efficient bias correction; decay after the step), and a moving average; three steps of each.
parameter, average = draw(5, 19), draw(5, 19)
m, v = torch.zeros(5, 19), torch.zeros(5, 19)
lr, decay, beta = 0.01, 0.1, 0.9
tensors |= {"adamw/start": parameter.float(), "average/start": average.float()}
for t in range(1, 4):
    gradient = draw(5, 19)
    gradient[1] = 0.0  # A row that no token touches.
    m = 0.9 * m + 0.1 * gradient
    v = 0.999 * v + 0.001 * gradient**2
    parameter = parameter - lr * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t) * m / (v.sqrt() + 1e-6)
    parameter = parameter - lr * decay * parameter
    average = beta * average + (1 - beta) * parameter
    tensors |= {f"adamw/gradient_{t}": gradient.float(), f"adamw/parameter_{t}": parameter.float(), f"average/{t}": average.float()}
numbers["adamw"] = {"learning_rate": lr, "weight_decay": decay}
numbers["average"] = {"decay": beta}

tensors = {name: value.contiguous().clone() for name, value in tensors.items()}
save_file(tensors, HERE / "kernels.safetensors", {"numbers": json.dumps(numbers)})
