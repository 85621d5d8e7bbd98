"""Ours and PyTorch's in turn, a process each, medians over rounds and their ratio.

    pip install torch transformers
    cargo build --release
    python tests/compare/compare.py                      # train step and evaluation
    python tests/compare/compare.py --what smart,pcgrad  # methods
    python tests/compare/compare.py --shape base --sequences 32,128 --batches 8,32
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


def ours(backend, what, batch, sequence):
    common = ["--backend", backend, "--json", "--threads", str(args.threads), *sizes(batch, sequence)]
    if what in ("train-step", "evaluate"):
        return run([args.cli, "bench", what, *common])
    return run([args.cli, "bench", "methods", "--only", what, *common])["methods"][0]


def theirs(what, batch, sequence):
    command = [sys.executable, HERE / "torch_bench.py", what, "--threads", str(args.threads)]
    return run([*command, *sizes(batch, sequence)])


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def table_row(cells):
    print(f"| {' | '.join(cells)} |", flush=True)


backends = args.backends.split(",")
heading = ["measurement", "batch", "sequence"]
heading += [f"{backend}, tokens/s" for backend in backends] + ["PyTorch, tokens/s"]
heading += [f"{backend} / PyTorch" for backend in backends]
heading += [f"memory of {backend}, MiB" for backend in backends] + ["of PyTorch"]
table_row(heading)
table_row(["---"] * len(heading))
for what in args.what.split(","):
    for batch in map(int, args.batches.split(",")):
        for sequence in map(int, args.sequences.split(",")):
            columns = [[] for _ in range(len(backends) + 1)]
            for _ in range(args.rounds):
                for backend, column in zip(backends, columns):
                    column.append(ours(backend, what, batch, sequence))
                columns[-1].append(theirs(what, batch, sequence))
            speed = [median(column, "tokens_per_second") for column in columns]
            memory = [median(column, "peak_memory_bytes") / 2**20 for column in columns]
            cells = [what, str(batch), str(sequence), *(f"{it:.0f}" for it in speed)]
            cells += [f"{it / speed[-1]:.2f}" for it in speed[:-1]]
            table_row(cells + [f"{it:.0f}" for it in memory])
torch = columns[-1][0]["torch"]
print(f"\n{args.shape}, {args.threads} threads, medians of {args.rounds} rounds in turn; PyTorch {torch}.")
