#!/usr/bin/env bash
# Builds the wheel, installs it into a fresh environment and runs the program there, from another folder.
# Needs Python with venv, and PyPI for maturin and pandas.
#   tests/wheel.sh [FOLDER]     where the wheel goes; target/wheels without it
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-target/wheels}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/build"
"$work/build/bin/pip" install --quiet 'maturin>=1.9,<2'
rm -f "$out"/bertram_cli-*.whl
"$work/build/bin/maturin" build --profile dist --manifest-path bertram-cli/Cargo.toml --out "$out"

python3 -m venv "$work/fresh"
"$work/fresh/bin/pip" install --quiet "$out"/bertram_cli-*.whl pandas
cd "$work"
program=$work/fresh/bin/bertram-cli
"$program" --version
"$program" train --out runs/one --dashboard plain --set train.epochs=1 --set data.demo.sst=200 --set data.demo.para=200 \
  --set data.demo.sts=200
echo 'a lovely film' | "$program" predict --run runs/one --task sst
"$program" runs list --json >runs.json
"$program" report runs --out report.csv
"$work/fresh/bin/python" - <<'PYTHON'
import pandas

runs = pandas.read_json("runs.json")
print(runs[["run", "state", "dev.overall"]])
report = pandas.read_csv("report.csv")
print(report.head(3))
assert len(runs) == 1 and len(report) > 3
PYTHON
ls -l "$out"/bertram_cli-*.whl
