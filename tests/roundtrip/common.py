"""What the round-trip checks share: bertram's own numbers, and texts to compare on."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

LIMIT = 1e-5
BERTRAM = os.environ.get("BERTRAM", "bertram-cli")
if "/" in BERTRAM:
    # The checks change their folder.
    BERTRAM = os.path.abspath(BERTRAM)
SENTENCES = [
    "The second act drags, but the last ten minutes are worth the ticket.",
    "Can I repot a fern in winter?",
    "A man is slicing a cucumber on a wooden board.",
    "Größe zählt nicht – 你好.",
    "naïve café\u00a0, n't  it's",
    "",
    "one two three " * 200,
]


def bertram(*args):
    """Output lines of a command as JSON, and the folder of the model that it took."""
    done = subprocess.run([BERTRAM, *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.strip()


def written(lines):
    """A temporary file of lines."""
    file = tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False, encoding="utf-8")
    file.write("".join(f"{line}\n" for line in lines))
    file.close()
    return file.name


def sentences(path):
    """The lines of a file, or the built-in sentences."""
    return Path(path).read_text(encoding="utf-8").splitlines() if path else SENTENCES
