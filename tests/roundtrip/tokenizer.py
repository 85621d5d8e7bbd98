"""Reads tokenizers that bertram wrote with `transformers.AutoTokenizer`, and compares ids.

    pip install transformers==5.24.0
    BERTRAM_TOKENIZER_EXPORTS=/tmp/exports cargo test -p bertram-tests --test numerics golden_tokenizer
    python tests/roundtrip/tokenizer.py /tmp/exports

The test writes a folder for each combination of `tests/golden/tokenizer/matrix.json`; expected are the ids that
`transformers` gave for the folder that bertram read. Each is read twice: as it is, and, where it is a `BertTokenizer`, from
its vocab.txt and tokenizer_config.json alone. Prints the number of combinations and of differences; exits with 1 if there
is one.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import transformers
from transformers import AutoTokenizer

GOLDEN = Path(__file__).resolve().parents[1] / "golden/tokenizer/matrix.json"
POSITIONS = 48


def compare(what, folder, texts, expected):
    """Number of texts whose ids differ."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    different = 0
    for text, ids in zip(texts, expected, strict=True):
        found = tokenizer(text)["input_ids"]
        if found != ids:
            different += 1
            print(f"{what}, {text!r}:\n  {found}, not\n  {ids}")
    if tokenizer.model_max_length != POSITIONS:
        different += 1
        print(f"{what}: model_max_length is {tokenizer.model_max_length}, not {POSITIONS}")
    return different


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    exports = Path(sys.argv[1])
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    shared, texts, combinations = golden["shared"], golden["texts"], golden["combinations"]
    different = by_lines = 0
    for combination in combinations:
        name = combination["name"]
        folder = exports / name
        expected = [shared[index] for index in combination["ids"]]
        different += compare(name, folder, texts, expected)
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        if config["tokenizer_class"] == "BertTokenizer":
            by_lines += 1
            with tempfile.TemporaryDirectory() as lines:
                for file in ["config.json", "vocab.txt", "tokenizer_config.json"]:
                    shutil.copy(folder / file, lines)
                different += compare(f"{name}, vocab.txt", lines, texts, expected)
    print(
        f"transformers {transformers.__version__}: {len(combinations)} combinations ({by_lines} of them by vocab.txt, too), "
        f"{len(texts)} texts: {different} differences"
    )
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
