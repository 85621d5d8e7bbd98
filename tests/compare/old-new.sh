#!/bin/sh
# Whether two programs make the same runs of the same configs, bit for bit:
#
#   tests/compare/old-new.sh OLD NEW
#
# Runs the quick start and the experiments of Table 1 on a small demo corpus with both, and compares weights, heads,
# predictions and scores. Scores are compared by the keys that both have: a newer program may measure more.
set -eu
[ $# = 2 ] || { sed -n '2,6p' "$0"; exit 2; }
old=$1 new=$2
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

scores() {
    python3 - "$1" "$2" <<'PY'
import json, sys
def flat(value, path=""):
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in flat(item, f"{path}.{key}").items()}
    return {path: value}
old, new = (flat(json.load(open(f"{run}/summary.json"))["dev"]) for run in sys.argv[1:])
wrong = [f"{key}: {value} and {new.get(key)}" for key, value in old.items() if new.get(key) != value]
print("\n".join(wrong), end="")
sys.exit(bool(wrong))
PY
}

for config in "$root/configs/quickstart.toml" "$root"/configs/experiments/e[0-9][0-9].toml; do
    name=$(basename "$config" .toml)
    epochs=2
    [ "$name" = e01 ] && epochs=0
    for program in old new; do
        eval "binary=\$$program"
        "$binary" train --config "$config" --out "$out/$name-$program" --dashboard none --backend flex \
            --set model.random.hidden-size=16 --set model.random.heads=2 --set model.random.intermediate-size=32 \
            --set model.random.vocab-size=300 --set data.demo.sst=48 --set data.demo.para=48 --set data.demo.sts=32 \
            --set data.demo.dev=24 --set train.batch-size=8 --set train.learning-rate=1e-3 \
            --set train.score-rows=20 --set "train.epochs=$epochs" >"$out/log" 2>&1 ||
            { cat "$out/log"; echo "$name: $program failed"; exit 1; }
    done
    differs=""
    for file in model/model.safetensors model/heads.safetensors model/heads.json analysis.json; do
        if [ -e "$out/$name-old/$file" ] || [ -e "$out/$name-new/$file" ]; then
            diff -rq "$out/$name-old/$file" "$out/$name-new/$file" >/dev/null || differs="$differs $file"
        fi
    done
    # A newer program may write more files of predictions.
    for file in "$out/$name-old/predictions"/*; do
        cmp -s "$file" "$out/$name-new/predictions/$(basename "$file")" || differs="$differs $(basename "$file")"
    done
    wrong=$(scores "$out/$name-old" "$out/$name-new") || differs="$differs scores ($wrong)"
    if [ -z "$differs" ]; then
        echo "$name: equal bit for bit"
    else
        echo "$name: differs:$differs"
        failed=1
    fi
done
exit $failed
