"""Compares a run's tasks in Python with `bertram-cli predict`: the snippets of the model card, and the tasks' folders.

    pip install torch transformers safetensors
    BERTRAM=target/release/bertram-cli python tests/roundtrip/classification.py RUN [SENTENCES.txt]

For each snippet in RUN/model/README.md that defines `predict`, runs it in RUN/model. Where there is a folder RUN/model/TASK,
loads it with `AutoModelForSequenceClassification` as well, and compares the softmax of its logits (the sigmoid of
each for several labels at once, the number itself for a regression). Prints the largest absolute difference of probabilities (or scores), and exits with 1 if it exceeds 1e-5, or if
the folder's weights do not fit its architecture.
"""

import json
import os
import re
import sys
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from common import LIMIT, bertram, sentences, written

# Of a preset heads.json has no `inputs`; these have one sentence.
SINGLE = {"sst", "cola", "sst2"}
BLOCK = re.compile(r"```python\n# task: (\w+)\n(.*?)```", re.DOTALL)


def numbers(lines):
    return torch.tensor([list(line["probabilities"].values()) if "probabilities" in line else line["prediction"] for line in lines], dtype=torch.float64)


def is_single(task):
    return task.get("inputs", "single" if task["task"] in SINGLE else "pair") == "single"


def folder_output(folder, prepare, columns, length, label):
    """What `AutoModelForSequenceClassification` gives, without the card's help but for the texts' preparation."""
    model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    fits = not any(info.get(key) for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(*map(prepare, columns), padding=True, truncation=True, max_length=length, return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits.double()
    if model.config.problem_type == "regression":
        return logits.squeeze(-1).clamp(label["min"], label["max"]), fits
    if model.config.problem_type == "multi_label_classification":
        return logits.sigmoid(), fits and len(model.config.id2label) == logits.shape[-1]
    return logits.softmax(-1), fits and len(model.config.id2label) == logits.shape[-1]


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    run = Path(sys.argv[1]).resolve()
    # `predict` refuses a row without a text.
    texts = [text for text in sentences(sys.argv[2] if len(sys.argv) == 3 else None) if text and "\t" not in text]
    second = texts[1:] + texts[:1]
    model = run / "model"
    length = json.loads((model / "heads.json").read_text())["max-length"]
    tasks = {task["task"]: task for task in json.loads((model / "heads.json").read_text())["tasks"]}
    snippets = dict(BLOCK.findall((model / "README.md").read_text(encoding="utf-8")))
    fine = set(snippets) == set(tasks)
    if not fine:
        print(f"the card has snippets for {sorted(snippets)}, the model heads for {sorted(tasks)}")
    os.chdir(model)
    for task, code in snippets.items():
        single = is_single(tasks[task])
        columns = [texts] if single else [texts, second]
        lines = [json.dumps({"sentence": a} if single else {"sentence1": a, "sentence2": b}) for a, b in zip(texts, second)]
        ours, _ = bertram("predict", "--run", run, "--task", task, "--format", "json-lines", "--input", written(lines))
        ours = numbers(ours)
        names = {}
        exec(code, names)
        found = {"snippet": (names["predict"](*columns).double(), True)}
        if (model / task).is_dir():
            prepare = names.get("prepare", lambda texts: texts)
            found["folder"] = folder_output(str(model / task), prepare, columns, length, tasks[task]["label"])
        for name, (theirs, fits) in found.items():
            difference = (ours - theirs).abs().max().item()
            # Written so that NaN fails, too.
            good = fits and difference <= LIMIT
            fine = fine and good
            print(f"{task} {name}: {len(texts)} rows, max abs difference {difference:.3g} (limit {LIMIT:g}){'' if fits else ', weights do not fit'}")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
