"""Ours and PyTorch's on a CUDA device, in turn, a process each.

    cargo build --release --features cuda
    python tests/compare/gpu.py --shape base --batches 8,64 --sequence 128

PyTorch runs eagerly and through `torch.compile`; its f32 once with f32 matrix products, as it comes, and once with TF32
ones, which are what Burn's f32 products are on tensor cores. Memory is what nvidia-smi says the process took.
Each line is printed when it is measured: a failure or a slow compiler loses that line alone.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

from environment import environment

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--what", default="train-step,evaluate")
parser.add_argument("--shape", default="base")
parser.add_argument("--batches", default="8,64")
parser.add_argument("--sequence", type=int, default=128)
parser.add_argument("--precisions", default="f32,bf16")
parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
parser.add_argument("--rounds", type=int, default=1)
parser.add_argument("--limit", type=float, default=120.0, help="seconds after which a process is given up")
parser.add_argument("--cli", default=str(ROOT / "target/release/bertram-cli"))
parser.add_argument("--json", type=pathlib.Path, help="file for all measurements")
args = parser.parse_args()


def used():
    """Memory in use on the first visible device, in MiB; not a number where nvidia-smi does not say."""
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    query = ["nvidia-smi", "-i", device, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        return float(subprocess.run(query, capture_output=True, text=True).stdout.split()[0])
    except (OSError, ValueError, IndexError):
        return math.nan


def run(command):
    """The command's last line as JSON, with the device memory it took in MiB and its whole time in seconds."""
    before, peak, done = used(), 0.0, threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.2):
            peak = max(peak, used())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    try:
        result = subprocess.run(command, env=environment(8), capture_output=True, text=True, timeout=args.limit)
    except subprocess.TimeoutExpired:
        return {"error": f"no end after {args.limit:.0f} s"}
    finally:
        done.set()
        watcher.join()
    if result.returncode != 0:
        return {"error": (result.stderr.strip().splitlines() or ["?"])[-1][:300]}
    try:
        report = json.loads(result.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": f"no JSON: {result.stdout[-200:]!r}"}
    return report | {"memory": peak - before, "process_seconds": time.perf_counter() - begun}


def sides(what, batch, precision):
    sizes = ["--shape", args.shape, "--batch", str(batch), "--sequence", str(args.sequence)]
    sizes += ["--seconds", str(args.seconds)]
    own = [args.cli, "bench", what, "--json", "--backend", "cuda", "--precision", precision, *sizes]
    torch = [sys.executable, HERE / "torch_bench.py", what, "--device", "cuda", "--threads", "8", *sizes]
    yield "bertram", own
    for variant in ("f32", "tf32") if precision == "f32" else (precision,):
        yield f"PyTorch {variant}", [*torch, "--precision", variant]
        yield f"PyTorch {variant}, compiled", [*torch, "--precision", variant, "--compile"]


print("| measurement | batch | precision | side | ms | tokens/s | bertram / it | device memory, MiB | whole process, s |")
print("|---|---|---|---|---|---|---|---|---|", flush=True)
everything = []
for what in args.what.split(","):
    for batch in map(int, args.batches.split(",")):
        for precision in args.precisions.split(","):
            commands = dict(sides(what, batch, precision))
            runs = {side: [] for side in commands}
            for _ in range(args.rounds):
                for side, command in commands.items():
                    runs[side].append(run(command))
            own = None
            for side, reports in runs.items():
                everything += [{"what": what, "batch": batch, "side": side, "precision": precision, **r} for r in reports]
                failed = [report["error"] for report in reports if "error" in report]
                if failed:
                    print(f"| {what} | {batch} | {precision} | {side} | {failed[0]} |", flush=True)
                    continue
                keys = ("seconds", "tokens_per_second", "memory", "process_seconds")
                median = {key: statistics.median(report[key] for report in reports) for key in keys}
                if side == "bertram":
                    own = median
                ratio = f"{own['tokens_per_second'] / median['tokens_per_second']:.2f}" if own else ""
                print(
                    f"| {what} | {batch} | {precision} | {side} | {median['seconds'] * 1e3:.2f} | {median['tokens_per_second']:.0f} "
                    f"| {ratio} | {median['memory']:.0f} | {median['process_seconds']:.0f} |",
                    flush=True,
                )
            if args.json:
                args.json.write_text(json.dumps(everything, indent=1))
