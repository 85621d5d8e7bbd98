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
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(1)
# What remains of masked keys is exactly 0 in bertram; here denormals are switched off instead.
torch.set_flush_denormal(True)
step, tokens = STEPS[args.what](Multitask(args.shape), args.batch, args.sequence)
for _ in range(3):
    step()
seconds = []
begun = time.perf_counter()
while not seconds or time.perf_counter() - begun < args.seconds:
    one = time.perf_counter()
    step()
    seconds.append(time.perf_counter() - one)
median = statistics.median(seconds)
print(
    json.dumps(
        {
            "tokens_per_second": tokens / median,
            "seconds": median,
            "repetitions": len(seconds),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "torch": torch.__version__,
        }
    )
)
