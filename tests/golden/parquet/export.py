"""Parquet files as pyarrow and Hugging Face's `datasets` write them, and their rows as they read them back.

    pip install pyarrow datasets
    python tests/golden/parquet/export.py

writes `*.parquet` and `rows.json` beside this file. `bertram-core` reads them in `numerics/golden_parquet.rs`.
"""

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
PREMISES = ["A man sleeps.", "Möchte er Tee?", "東京は雨。", "it's \"quoted\", with commas\tand tabs", "two\nlines"] * 3
HYPOTHESES = ["He rests.", "He wants tea.", "It rains.", "nothing", "one line"] * 3
CLASSES = [0, 1, 2, 1, 0] * 3
NAMES = ["entailment", "neutral", "contradiction"]
SCORES = [0.1, 0.25, 5.0, 3.3333333, 0.0] * 3


def main() -> None:
    table = pa.table(
        {
            "premise": PREMISES,
            "unread": [{"a": [1, 2], "b": None}] * 15,
            "hypothesis": HYPOTHESES,
            "label": pa.array(CLASSES, pa.int64()),
            "score": pa.array(SCORES, pa.float32()),
        }
    )
    for name, options in {
        "snappy": {"compression": "snappy"},
        "zstd": {"compression": "zstd"},
        "gzip": {"compression": "gzip"},
        "lz4": {"compression": "lz4"},
        "plain": {"compression": "none", "use_dictionary": False},
        "v2-groups": {"data_page_version": "2.0", "row_group_size": 4, "version": "2.6"},
        "delta": {
            "use_dictionary": False,
            "column_encoding": {"premise": "DELTA_BYTE_ARRAY", "hypothesis": "DELTA_LENGTH_BYTE_ARRAY", "label": "DELTA_BINARY_PACKED"},
        },
    }.items():
        pq.write_table(table, HERE / f"{name}.parquet", **options)
    large = table.cast(
        pa.schema([field.with_type(pa.large_string()) if field.type == pa.string() else field for field in table.schema])
    )
    pq.write_table(large, HERE / "large-strings.parquet")

    features = datasets.Features(
        {
            "premise": datasets.Value("string"),
            "hypothesis": datasets.Value("string"),
            "label": datasets.ClassLabel(names=NAMES),
            "topics": datasets.Sequence(datasets.ClassLabel(names=["sport", "art", "law"])),
        }
    )
    topics = [[0], [], [1, 2], [2], [0, 1, 2]] * 3
    rows = {"premise": PREMISES, "hypothesis": HYPOTHESES, "label": CLASSES, "topics": topics}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(HERE / "datasets.parquet")
    # As the hub has test splits: -1 for no label.
    datasets.Dataset.from_dict(rows | {"label": [-1] * 15}, features=features).to_parquet(HERE / "datasets-test.parquet")

    back = pq.read_table(HERE / "v2-groups.parquet").to_pylist()
    (HERE / "rows.json").write_text(
        json.dumps(
            {
                "versions": {"pyarrow": pa.__version__, "datasets": datasets.__version__},
                "names": NAMES,
                "rows": [{key: row[key] for key in ("premise", "hypothesis", "label", "score")} for row in back],
                "topics": [[["sport", "art", "law"][topic] for topic in row] for row in topics],
            },
            ensure_ascii=False,
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
