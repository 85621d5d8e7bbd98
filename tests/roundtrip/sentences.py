"""Compares `SentenceTransformer(RUN/model).encode` with `bertram-cli encode --model RUN`.

    pip install sentence-transformers
    BERTRAM=target/release/bertram-cli python tests/roundtrip/sentences.py RUN [SENTENCES.txt]

RUN is a run, or any folder with `modules.json`. Prints the largest absolute difference over the sentences (a line each in
the file, or the built-in ones), and exits with 1 if it exceeds 1e-5 or if Python printed a warning.
"""

import io
import logging
import sys
import warnings
from pathlib import Path

from common import LIMIT, bertram, sentences, written


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    run = Path(sys.argv[1])
    folder = run / "model" if (run / "model").is_dir() and not (run / "modules.json").is_file() else run
    if not (folder / "modules.json").is_file():
        sys.exit(f"{folder} has no modules.json: sentence-transformers has no such pooling; the snippet of README.md has it, and classification.py runs snippets")
    texts = sentences(sys.argv[2] if len(sys.argv) == 3 else None)
    lines, note = bertram("encode", "--model", run, "--input", written(texts))

    import numpy as np
    import transformers
    from sentence_transformers import SentenceTransformer

    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    logging.getLogger("sentence_transformers").addHandler(handler)
    transformers.logging.add_handler(handler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = SentenceTransformer(str(folder), device="cpu")
        vectors = model.encode(texts, show_progress_bar=False)
    said = log.getvalue().splitlines() + [str(w.message) for w in caught if "sentence_transformers" in w.filename or "transformers" in w.filename]
    for line in said:
        print("warning:", line)
    ours = np.array([line["embedding"] for line in lines], dtype=np.float64)
    difference = float(np.abs(ours - vectors).max()) if texts else 0.0
    print(f"{note}; {len(texts)} sentences of {vectors.shape[1]} numbers, max abs difference {difference:.3g} (limit {LIMIT:g})")
    # Written so that NaN fails, too.
    sys.exit(0 if difference <= LIMIT and not said else 1)


if __name__ == "__main__":
    main()
