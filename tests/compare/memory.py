"""Resident memory of one process over 2000 training steps.

    python tests/compare/memory.py

Samples /proc while `bertram-cli bench train-step` runs, and prints the slope of a least-squares line after warm-up.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).parent.parent.parent

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seconds", type=float, default=180.0)
parser.add_argument("--cli", default=str(ROOT / "target/release/bertram-cli"))
args = parser.parse_args()

begun = time.monotonic()
process = subprocess.Popen(
    [args.cli, "bench", "train-step", "--threads", "2", "--seconds", str(args.seconds), "--json"],
    stdout=subprocess.PIPE,
    text=True,
)
samples = []
while process.poll() is None:
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    resident = [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")]
    samples.extend((time.monotonic() - begun, value) for value in resident)
    time.sleep(1.0)
report = json.loads(process.stdout.read())
# The last seconds measure the peak of matrix products.
samples = [(at, value) for at, value in samples if 10.0 < at < args.seconds]
slope = statistics.linear_regression(*zip(*samples)).slope
steps = report["repetitions"]
for at, value in samples[:: max(1, len(samples) // 8)]:
    print(f"{at:6.0f} s {value:7.1f} MiB")
print(f"{steps} steps, slope {slope * 1000 * args.seconds / steps:.3f} MiB in 1000 steps")
