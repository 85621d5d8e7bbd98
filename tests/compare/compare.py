"""Ours and PyTorch's in turn, a process each, medians over rounds and their ratio.

    pip install torch transformers
    cargo build --release
    python tests/compare/compare.py                      # train step and evaluation
    python tests/compare/compare.py --what smart,pcgrad  # methods
    python tests/compare/compare.py --shape base --sequences 32,128 --batches 8,32
    python tests/compare/compare.py --other OLD            # another build of ours as well, in turn
    python tests/compare/compare.py --compile              # torch.compile as well, in turn
    python tests/compare/compare.py --backends flex,libtorch    # a build with both; torch of the Python it was built beside

A ratio above 1 says that bertram is faster. Not part of CI. `epoch.py` compares an epoch on real rows.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from environment import environment

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--what", default="train-step,evaluate", help="of train-step, evaluate, smart, summed, pcgrad")
parser.add_argument("--shape", default="minilm")
parser.add_argument("--batches", default="8")
parser.add_argument("--sequences", default="32,128")
parser.add_argument("--backends", default="flex", help="of bertram's, all in turn")
parser.add_argument("--pooling", choices=["cls", "mean"], default="cls")
parser.add_argument("--other", help="another build of bertram-cli")
parser.add_argument("--compile", action="store_true", help="torch.compile as well")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--cli", default=str(ROOT / "target/release/bertram-cli"))
args = parser.parse_args()

def run(command):
    done = subprocess.run(command, env=environment(args.threads), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def sizes(batch, sequence):
    return ["--shape", args.shape, "--batch", str(batch), "--sequence", str(sequence), "--seconds", str(args.seconds)]


def ours(cli, backend):
    # A build of before --pooling knows cls alone, and does not know the word.
    pooling = [] if args.pooling == "cls" else ["--pooling", args.pooling]

    def measure(what, batch, sequence):
        common = ["--backend", backend, "--json", "--threads", str(args.threads), *pooling, *sizes(batch, sequence)]
        if what in ("train-step", "evaluate"):
            return run([cli, "bench", what, *common])
        return run([cli, "bench", "methods", "--only", what, *common])["methods"][0]

    return measure


def theirs(*options):
    def measure(what, batch, sequence):
        command = [sys.executable, HERE / "torch_bench.py", what, "--threads", str(args.threads)]
        return run([*command, "--pooling", args.pooling, *options, *sizes(batch, sequence)])

    return measure


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def table_row(cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def processor():
    """Name of the processor, and the widest vectors that it has."""
    text = pathlib.Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    name = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "?")
    vectors = [level for level in ("avx512f", "avx2", "avx") if f" {level} " in f"{text} "]
    return f"{name}, {vectors[0] if vectors else 'neither AVX-512 nor AVX2'}"


# What is measured, each in turn, and what all else is a ratio to: PyTorch eager.
columns = {backend: ours(args.cli, backend) for backend in args.backends.split(",")}
if args.other:
    columns["other build"] = ours(args.other, args.backends.split(",")[0])
if args.compile:
    columns["torch.compile"] = theirs("--compile")
columns["PyTorch"] = theirs()

names = list(columns)
heading = ["measurement", "batch", "sequence", *(f"{name}, tokens/s" for name in names)]
heading += [f"{names[0]} / {name}" for name in names[1:]]
heading += [f"{name} / PyTorch" for name in names[1:-1]]
heading += [f"memory of {name}, MiB" for name in names]
table_row(heading)
table_row(["---"] * len(heading))
peaks = {}
for what in args.what.split(","):
    for batch in map(int, args.batches.split(",")):
        for sequence in map(int, args.sequences.split(",")):
            runs = {name: [] for name in names}
            for _ in range(args.rounds):
                for name, measure in columns.items():
                    runs[name].append(measure(what, batch, sequence))
            for name in names:
                found = [it.get("matmul_peak_flops_per_second") for it in runs[name]]
                peaks[name] = max([peaks.get(name, 0), *(it for it in found if it)])
            speed = [median(runs[name], "tokens_per_second") for name in names]
            memory = [median(runs[name], "peak_memory_bytes") / 2**20 for name in names]
            cells = [what, str(batch), str(sequence), *(f"{it:.0f}" for it in speed)]
            cells += [f"{speed[0] / it:.2f}" for it in speed[1:]]
            cells += [f"{it / speed[-1]:.2f}" for it in speed[1:-1]]
            table_row(cells + [f"{it:.0f}" for it in memory])
torch = runs["PyTorch"][0]["torch"]
print(f"\n{args.shape}, {args.pooling} pooling, {args.threads} threads, medians of {args.rounds} rounds in turn; PyTorch {torch}.")
found = ", ".join(f"{name} {peak / 1e9:.0f}" for name, peak in peaks.items() if peak)
print(f"{processor()}; fastest product of 1536x1536 matrices, GFLOP/s: {found}.")
