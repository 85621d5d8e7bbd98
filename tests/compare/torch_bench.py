"""`bertram-cli bench`, for PyTorch: one measurement in a process of its own, as one line of JSON."""

import argparse
import json
import resource
import statistics
import time

import torch

from steps import STEPS, Multitask

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("what", choices=STEPS)
parser.add_argument("--shape", default="minilm")
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--sequence", type=int, default=32)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=6.0)
parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
parser.add_argument("--precision", choices=["f32", "tf32", "bf16"], default="f32", help="bf16 through autocast")
parser.add_argument("--pooling", choices=["cls", "mean"], default="cls")
parser.add_argument("--compile", action="store_true", help="torch.compile")
args = parser.parse_args()

on_gpu = args.device == "cuda"
torch.set_num_threads(args.threads)
torch.set_default_device(args.device)
torch.set_float32_matmul_precision("high" if args.precision == "tf32" else "highest")
torch.manual_seed(1)
# What remains of masked keys is exactly 0 in bertram; here denormals are switched off instead.
torch.set_flush_denormal(True)
model = Multitask(args.shape, args.pooling)
if args.compile:
    model.embed, model.logits = torch.compile(model.embed), torch.compile(model.logits)
step, tokens = STEPS[args.what](model, args.batch, args.sequence)
# Everything is there; a default device costs time at each call.
torch.set_default_device(None)


def timed():
    begun = time.perf_counter()
    with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16"):
        step()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - begun


for _ in range(3):
    timed()
seconds = []
begun = time.perf_counter()
while not seconds or time.perf_counter() - begun < args.seconds:
    seconds.append(timed())
median = statistics.median(seconds)


def matmul_peak(size=1536):
    """As `bertram-cli bench` measures it: the fastest of some products, for a second."""
    left, right = (torch.rand(size, size, device=args.device) for _ in range(2))
    fastest, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < 1:
        one = time.perf_counter()
        left @ right
        if on_gpu:
            torch.cuda.synchronize()
        fastest = min(fastest, time.perf_counter() - one)
    return 2 * size**3 / fastest


print(
    json.dumps(
        {
            "tokens_per_second": tokens / median,
            "seconds": median,
            "repetitions": len(seconds),
            "matmul_peak_flops_per_second": matmul_peak(),
            "device_memory_bytes": torch.cuda.max_memory_reserved() if on_gpu else None,
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "torch": torch.__version__,
        }
    )
)
