"""Ids that `transformers.AutoTokenizer` gives, for folders that say how to tokenise in many ways.

    pip install transformers==5.24.0
    python tests/golden/tokenizer/export.py

Writes `matrix.json` beside this file: made-up vocabularies, texts, and for each combination of
flags and files the files' contents and the ids of every text, special tokens included. `tests/tests/numerics/golden_tokenizer.rs`
builds each folder, and `tests/roundtrip/tokenizer.py` reads what bertram makes of it.
"""

import itertools
import json
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import transformers
from transformers import AutoTokenizer

HERE = Path(__file__).parent
NAMES = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """the The THE film Film movie a A an is was good Good best cat runs man e1 E1 cafe café Café caf\u00e9s cafe\u0301
nino niño schon schön Schön mochte möchte Möchte naive naïve istanbul İstanbul ıstanbul i̇stanbul σοφος σοφοσ σοφός Σοφός ΣΟΦΟΣ
ελλας ελλάς 日本 日 本 語 日本語 中 文 ひらがな 한국어 한 strasse straße Straße fi ﬁ ½ 2 10 co-op don't don t ' " - – — … . , ! ? ; : ( ) [ ] < >
/ _ # @ $ € £ + = * & % ~ ` ^ | \\ 🙂 👍 👍🏽 ❤ ❤️ ##s ##e ##é ##n ##t ##st ##anbul ##fe ##fé ##1 ##2 ##日 ##本 ##film
zero width ab abc lovely Lovely x y z X Y Z i I İ ı ı̇ mask pad unk cls sep""".split()
LETTERS = [piece for letter in "abcdefghijklmnopqrstuvwxyz" for piece in (letter, "##" + letter)]
PLAIN = list(dict.fromkeys(SPECIAL + WORDS + LETTERS))
TEXTS = [
    "",
    " ",
    "the film",
    "The Film was GOOD, wasn't it?",
    "café Café CAFÉ cafés",
    "cafe\u0301 Cafe\u0301",
    "schön möchte naïve niño",
    "SCHÖN Möchte scho\u0308n",
    "日本 film 日本語 中文",
    "film日本film ひらがな 한국어",
    "🙂 good👍🏽 ❤️",
    "a\u0000b\u0007c\ufffdd ab\u0008c",
    "zero\u200bwidth \u200dab\ufeffc a\u00adb",
    "tab\tline\nreturn\r\nnbsp\u00a0em\u2003ideographic\u3000end\u2028sep",
    "İstanbul ISTANBUL ıstanbul Istanbul",
    "ΣΟΦΟΣ Σοφός σοφός ΕΛΛΆΣ",
    "Straße STRASSE ﬁ ﬁlm ½",
    "x" * 99 + " " + "x" * 100 + " " + "x" * 101,
    "é" * 120,
    "[CLS] the [SEP] [MASK] [PAD] [UNK]",
    "[cls] the[mask]film [Mask]",
    "the [E1] cat [E2] runs",
    "[E1]the[E1] [e1] [ E1 ]",
    "  [E1]  man [E2]",
    "lovely Lovely LOVELY lovelyx xlovely a-lovely",
    "new york New York NEW YORK newyork",
    "<tag> <TAG> <Tag>s",
    "filmé Filmé FILME\u0301",
    "日本e 語日本e",
    "co-op don't ... --- “quoted” ‘x’",
    "$10 + 2€ = 12% ~ #tag @man a_b c|d `e` ^f",
    "zzz qqq ##s ##film",
    "e\u0301\u0302\u0303 a\u030a \u0301",
    "\U0001d400\U0001d401 \U00020000\U0002a6df \uf900",
    "<s> the </s> <pad> <unk> <mask>",
    "I i I\u0307 i\u0307 ı",
]


def added(content, id=None, **flags):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False} | flags
    token = {"content": content} | flags
    return token if id is None else {"id": id} | token


def special(content, id=None, **flags):
    return added(content, id, **({"normalized": False, "special": True} | flags))


NAMED = [special(token, id) for id, token in enumerate(SPECIAL)]
N = len(PLAIN)
# Tokens that are matched in many ways.
MORE = [
    special("[E1]"),
    special("[E2]", lstrip=True, rstrip=True),
    added("lovely", single_word=True),
    added("New York"),
    added("<TAG>", normalized=False),
    added("Filmé"),
    added("日本e"),
]


def numbered(tokens, start=N, step=1):
    return [{"id": start + step * index} | token for index, token in enumerate(tokens)]


def decoder(tokens):
    return {str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in tokens}


def bert(lower, strip, chinese):
    return {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": chinese, "strip_accents": strip, "lowercase": lower}


def sequence(*normalizers):
    return {"type": "Sequence", "normalizers": list(normalizers)}


def tokenizer(normalizer, tokens=NAMED, vocab="plain", unk="[UNK]", sep=("[SEP]", 3), cls=("[CLS]", 2), **other):
    """A tokenizer.json; the vocabulary is a name that readers put the vocabulary in place of."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": tokens,
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": list(sep), "cls": list(cls)},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": unk,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    } | other


def config(lower, strip, chinese, **other):
    return {"do_lower_case": lower, "strip_accents": strip, "tokenize_chinese_chars": chinese} | other


FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
PRESETS = {
    "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
    "padding": {"strategy": {"Fixed": 16}, "direction": "Left", "pad_to_multiple_of": 8, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
}
RENAMED = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
VOCABULARIES = {
    "plain": PLAIN,
    # The later of two counts.
    "twice": PLAIN[:20] + ["cat", "film"] + PLAIN[20:],
    # No token has id 100.
    "hole": {token: id + (id >= 100) for id, token in enumerate(PLAIN)},
    "renamed": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] + PLAIN[5:],
}


def by_flags(lower, strip, chinese):
    """Folders that are made for every combination of the three flags."""
    flags = (lower, strip, chinese)
    normalizer = bert(*flags)
    opposite = bert(not lower, None if strip else True, not chinese)
    agreeing = config(*flags)
    legacy = {
        "added_tokens.json": {token["content"]: N + index for index, token in enumerate(MORE)},
        "special_tokens_map.json": {"additional_special_tokens": ["[E1]", "[E2]"], "mask_token": special("[MASK]", lstrip=True)},
    }
    yield "json", {"tokenizer.json": tokenizer(normalizer)}
    yield "json-agreeing", {"tokenizer.json": tokenizer(normalizer), "tokenizer_config.json": agreeing | {"tokenizer_class": "BertTokenizer"}}
    yield "json-contradicting", {"tokenizer.json": tokenizer(opposite), "tokenizer_config.json": agreeing}
    yield "json-contradicted-by-nothing", {"tokenizer.json": tokenizer(normalizer), "tokenizer_config.json": {"do_lower_case": lower, "model_max_length": 512}}
    yield "json-presets", {"tokenizer.json": tokenizer(normalizer, **PRESETS), "tokenizer_config.json": agreeing}
    yield "json-added", {"tokenizer.json": tokenizer(normalizer, NAMED + numbered(MORE)), "tokenizer_config.json": agreeing}
    yield "json-added-decoder", {
        "tokenizer.json": tokenizer(normalizer, NAMED + numbered(MORE)),
        # Other flags, another order, one left out.
        "tokenizer_config.json": agreeing | {"added_tokens_decoder": decoder(NAMED + numbered([added("[E2]"), special("lovely")] + MORE[3:]))},
    }
    yield "json-legacy", {"tokenizer.json": tokenizer(normalizer, NAMED + numbered(MORE[:3])), "tokenizer_config.json": agreeing} | legacy
    yield "vocab-config", {"vocab.txt": "plain", "tokenizer_config.json": agreeing | {"model_max_length": 10**30}}
    yield "vocab-legacy", {"vocab.txt": "plain", "tokenizer_config.json": agreeing} | legacy
    yield "vocab-decoder", {"vocab.txt": "plain", "tokenizer_config.json": agreeing | {"added_tokens_decoder": decoder(NAMED + numbered(MORE))}}
    yield "vocab-decoder-legacy", {"vocab.txt": "plain", "tokenizer_config.json": agreeing | {"added_tokens_decoder": decoder(numbered(MORE[2:], step=3))}} | legacy
    yield "fast", {"tokenizer.json": tokenizer(normalizer, NAMED + numbered(MORE)), "tokenizer_config.json": config(not lower, None, not chinese) | FAST}
    yield "fast-decoder", {
        "tokenizer.json": tokenizer(normalizer, NAMED + numbered(MORE[:4])),
        "tokenizer_config.json": FAST | NAMES | {"added_tokens_decoder": decoder(NAMED + numbered(MORE[:2] + [added("lovely")] + MORE[3:]))},
    }
    yield "fast-nested", {"tokenizer.json": tokenizer(sequence({"type": "NFC"}, normalizer), NAMED + numbered(MORE)), "tokenizer_config.json": FAST | NAMES}
    yield "nested", {"tokenizer.json": tokenizer(sequence({"type": "NFC"}, opposite)), "tokenizer_config.json": agreeing}
    parts = [{"type": "NFKC"}] + [{"type": "Lowercase"}] * lower + [{"type": "NFD"}, {"type": "StripAccents"}] * bool(strip)
    parts += [bert(False, False, chinese)]
    yield "fast-parts", {"tokenizer.json": tokenizer(sequence(*parts), NAMED + numbered(MORE)), "tokenizer_config.json": FAST}


def once():
    """Folders that need no flags."""
    json_file, lower = tokenizer(bert(False, None, True)), bert(True, None, True)
    yield "vocab", {"vocab.txt": "plain"}
    yield "vocab-empty-config", {"vocab.txt": "plain", "tokenizer_config.json": {}}
    yield "both", {"tokenizer.json": json_file, "vocab.txt": "twice"}
    yield "both-cased", {"tokenizer.json": json_file, "vocab.txt": "renamed", "tokenizer_config.json": {"do_lower_case": False}}
    for name in ["BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizerFast", "MobileBertTokenizer", "NoSuchTokenizer", "TokenizersBackend", "PreTrainedTokenizer", "ConvBertTokenizer"]:
        yield f"class-{name}", {"tokenizer.json": json_file, "tokenizer_config.json": {"tokenizer_class": name}}
    yield "class-of-config", {"tokenizer.json": json_file, "config.json": {"model_type": "bert"} | FAST}
    yield "class-of-config-overruled", {"tokenizer.json": json_file, "tokenizer_config.json": {"tokenizer_class": "BertTokenizer"}, "config.json": {"model_type": "bert"} | FAST}
    yield "class-of-neither", {"tokenizer.json": json_file, "tokenizer_config.json": {"tokenizer_class": None}}
    yield "fast-no-normalizer", {"tokenizer.json": tokenizer(None), "tokenizer_config.json": FAST}
    yield "fast-no-clean-text", {"tokenizer.json": tokenizer(lower | {"clean_text": False}), "tokenizer_config.json": FAST}
    yield "fast-whitespace", {"tokenizer.json": tokenizer(lower, pre_tokenizer={"type": "Whitespace"}), "tokenizer_config.json": FAST}
    yield "whitespace", {"tokenizer.json": tokenizer(lower, pre_tokenizer={"type": "Whitespace"})}
    short = tokenizer(lower)
    short = short | {"model": short["model"] | {"max_input_chars_per_word": 5}}
    yield "short-words", {"tokenizer.json": short}
    yield "fast-short-words", {"tokenizer.json": short, "tokenizer_config.json": FAST}
    yield "old-model", {"tokenizer.json": short | {"model": {key: value for key, value in short["model"].items() if key != "type"}}}
    for vocab in ["twice", "hole"]:
        tokens = numbered(MORE, N + 2 * (vocab == "twice"))
        if vocab != "hole":
            yield f"{vocab}-vocab", {"vocab.txt": vocab}
            yield f"{vocab}-vocab-added", {"vocab.txt": vocab, "tokenizer_config.json": {"added_tokens_decoder": decoder(tokens)}}
        else:
            yield f"{vocab}-json", {"tokenizer.json": tokenizer(lower, NAMED + tokens, vocab)}
            yield f"{vocab}-json-fast", {"tokenizer.json": tokenizer(lower, NAMED + tokens, vocab), "tokenizer_config.json": FAST}
    renamed = tokenizer(lower, [special(token, id) for id, token in enumerate(VOCABULARIES["renamed"][:5])], "renamed", "<unk>", ("</s>", 2), ("<s>", 0))
    yield "renamed-vocab", {"vocab.txt": "renamed", "tokenizer_config.json": RENAMED}
    yield "renamed-vocab-map", {"vocab.txt": "renamed", "special_tokens_map.json": {key: special(token) for key, token in RENAMED.items()}}
    yield "renamed-json", {"tokenizer.json": renamed, "tokenizer_config.json": RENAMED}
    yield "renamed-fast", {"tokenizer.json": renamed, "tokenizer_config.json": FAST | RENAMED}
    typed = {"__type": "AddedToken"}
    yield "objects", {"vocab.txt": "plain", "tokenizer_config.json": {"mask_token": special("[MASK]", lstrip=True) | typed, "cls_token": added("[CLS]") | typed, "additional_special_tokens": [special("[E1]", rstrip=True) | typed, "[E2]"]}}
    yield "extra", {"vocab.txt": "plain", "tokenizer_config.json": {"extra_special_tokens": ["[E2]", "[E1]"], "additional_special_tokens": ["<TAG>"]}}
    yield "extra-named", {"vocab.txt": "plain", "tokenizer_config.json": {"extra_special_tokens": {"entity_token": "[E2]"}, "image_token": "[E1]", "bos_token": "<TAG>"}}
    yield "extra-map", {"vocab.txt": "plain", "tokenizer_config.json": {"extra_special_tokens": ["[E2]"]}, "special_tokens_map.json": {"extra_special_tokens": ["[E1]", {"content": "<TAG>", "normalized": False}], "additional_special_tokens": ["lovely"], "tag_token": "filmé"}}
    yield "additional-both", {"vocab.txt": "plain", "tokenizer_config.json": {"additional_special_tokens": ["[E2]"]}, "special_tokens_map.json": {"additional_special_tokens": ["[E1]"]}}
    yield "additional-null", {"vocab.txt": "plain", "tokenizer_config.json": {"additional_special_tokens": None}, "special_tokens_map.json": {"additional_special_tokens": ["[E1]"]}}
    yield "added-special", {"vocab.txt": "plain", "tokenizer_config.json": {"additional_special_tokens": ["[E1]"]}, "added_tokens.json": {"[E2]": N + 5, "[E1]": N + 3, "lovely": N + 1}}
    yield "added-known", {"vocab.txt": "plain", "added_tokens.json": {"[MASK]": 4, "Film": PLAIN.index("Film"), "x": 3000}}
    yield "added-decoder-empty", {"tokenizer.json": tokenizer(lower, NAMED + numbered(MORE)), "tokenizer_config.json": {"added_tokens_decoder": {}}}
    yield "added-decoder-defaults", {"vocab.txt": "plain", "tokenizer_config.json": {"added_tokens_decoder": {str(N): {"content": "[E1]"}, str(N + 1): {"content": "[E2]", "special": True}}}}
    # Two tokens that normalise to one text are not here: which of them is found differs from run to run in Python.
    yield "added-twice", {"tokenizer.json": tokenizer(lower, NAMED + numbered([added("lovely"), added("LOVELY", normalized=False)])), "added_tokens.json": {"lovely": N + 10, "[E1]": N}}
    yield "fast-added-twice", {"tokenizer.json": tokenizer(lower, NAMED + numbered(MORE[:3])), "tokenizer_config.json": FAST, "added_tokens.json": {"lovely": N + 10, "[E9]": N + 11}, "special_tokens_map.json": {"additional_special_tokens": ["<TAG>"]}}
    for files in [{"vocab.txt": "plain"}, {"tokenizer.json": tokenizer(lower, NAMED + numbered(MORE))}]:
        yield f"split-{'-'.join(files)}", files | {"tokenizer_config.json": {"split_special_tokens": True, "additional_special_tokens": ["[E1]"]}}
    yield "hub-2020", {
        "vocab.txt": "plain",
        "tokenizer_config.json": {"do_lower_case": False, "model_max_length": 512} | NAMES | {"tokenize_chinese_chars": True, "strip_accents": None, "special_tokens_map_file": None, "name_or_path": "org/name", "do_basic_tokenize": True, "never_split": None, "tokenizer_class": "BertTokenizer"},
        "special_tokens_map.json": NAMES,
    }


def combinations():
    for flags in itertools.product([True, False], [None, True, False], [True, False]):
        label = "".join({True: "y", False: "n", None: "-"}[flag] for flag in flags)
        for name, files in by_flags(*flags):
            yield f"{name}/{label}", files
    yield from once()


def contents(name, value):
    """A file's text."""
    if name == "vocab.txt":
        return "".join(token + "\n" for token in VOCABULARIES[value])
    if name == "tokenizer.json":
        vocab = VOCABULARIES[value["model"]["vocab"]]
        vocab = vocab if isinstance(vocab, dict) else {token: id for id, token in enumerate(vocab)}
        value = value | {"model": value["model"] | {"vocab": vocab}}
    return json.dumps(value, ensure_ascii=False)


def expected(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, value in ({"config.json": {"model_type": "bert"}} | files).items():
            (Path(folder) / name).write_text(contents(name, value), encoding="utf-8", newline="")
        read = AutoTokenizer.from_pretrained(folder)
        ids = [read(text)["input_ids"] for text in TEXTS]
        special = {key: getattr(read, f"{key}_id") for key in NAMES}
        return ids, special


def main():
    # Files and ids that are the same in many combinations are written once.
    shared, where = [], {}

    def share(value):
        text = json.dumps(value, ensure_ascii=False, sort_keys=False)
        if text not in where:
            where[text] = len(shared)
            shared.append(value)
        return where[text]

    matrix = []
    for name, files in combinations():
        ids, special = expected(files)
        matrix.append({
            "name": name,
            "files": {file: share(value) for file, value in files.items()},
            "special": share(special),
            "ids": [share(row) for row in ids],
        })
    head = {"transformers": transformers.__version__, "vocabularies": VOCABULARIES, "texts": TEXTS}
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    for key, rows in [("shared", shared), ("combinations", matrix)]:
        lines.append(json.dumps(key) + ": [\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]")
    path = HERE / "matrix.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="")
    print(f"{len(matrix)} combinations, {len(TEXTS)} texts, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
