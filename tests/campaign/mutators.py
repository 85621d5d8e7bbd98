"""Files made hostile: bytes, texts, JSON, TOML, tables and safetensors, changed at random.

Each mutator takes random numbers and the file's bytes and gives other bytes. Those that know a format get past its parser and to what
reads it; those that do not test the parser.
"""

import json
import struct

NUMBERS = """0 -0 1 -1 2 3 7 8 127 128 255 256 65535 65536 100000 999999999 1000000000 2147483647 2147483648 4294967295 4294967296
9007199254740993 4611686018427387904 9223372036854775807 9223372036854775808 -9223372036854775808 18446744073709551615 18446744073709551616
1e9 1e30 1e38 1e39 1e308 1e309 -1e309 1e-40 1e-309 1e-400 0.1 -0.5 0.5 0.001 1.0000000000000002 0.23529411764705882 1e999999999
NaN nan Infinity -Infinity inf -inf 0x10 1_000 00 1. .5 +1 --1 1e 1,5""".split()
TEXTS = ["", " ", "\0", "\t", "\r", "\n", "a\nb", "\u0301", "\u200b", "\ufeff", "\u2028", "\x1b[31m", "é", "日本", "\U0001f600", "nan", "null",
         "[PAD]", "[CLS]", "[MASK]", "##", "##a", "..", "../..", "/", "/dev/null", "/dev/zero", ".", "~", "auto", "sst", "true", "-1",
         "a" * 300, "a" * 70_000, "é" * 5000, "{}", "[]", "%s%n", "C:\\x", "\\", "\"", "'", "<script>", "&amp;"]
JSON_VALUES = [None, True, False, [], {}, [[]], [None], {"": None}, [1] * 1000, "x", 0.5]
# Lengths of nesting: what a recursive reader takes, what breaks it, what a slow one never ends.
DEPTHS = (40, 130, 2000, 100_000)


def number(rng):
    return rng.choice(NUMBERS)


def chunk(rng, data, most=4096):
    """The ends of a piece at random."""
    if not data:
        return 0, 0
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 64, 1 + rng.randrange(most))))


# Of any bytes.

def flip_bits(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def cut_off(rng, data):
    return data[: rng.choice((0, 1, rng.randrange(len(data) + 1), max(0, len(data) - 1)))]


def duplicate_chunk(rng, data):
    start, end = chunk(rng, data)
    times = rng.choice((1, 1, 2, 100))
    return data[:end] + data[start:end] * times + data[end:]


def remove_chunk(rng, data):
    start, end = chunk(rng, data)
    return data[:start] + data[end:]


def move_chunk(rng, data):
    start, end = chunk(rng, data)
    piece, rest = data[start:end], data[:start] + data[end:]
    place = rng.randrange(len(rest) + 1)
    return rest[:place] + piece + rest[place:]


def splice_junk(rng, data):
    place = rng.randrange(len(data) + 1)
    junk = rng.choice(
        (
            *(b"\0", b"\0" * 64, b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xef\xbb\xbf", b"\xff\xfe"),
            *(b"\r", b"\r\n", b"\n\n", b"\x1a", b'"', b"'", b"'''", b'"""', b"\\", b"\\u0000", b"\\ud800"),
            *(b"{", b"}", b"[", b"]", b",", b":", b"=", b"#", b"\t", bytes(rng.randrange(256) for _ in range(16))),
        )
    )
    return data[:place] + junk + data[place:]


def bad_utf8(rng, data):
    start, end = chunk(rng, data, 16)
    return data[:start] + rng.choice((b"\xff", b"\xc0\xaf", b"\xe2\x28\xa1", b"\xf0\x9f\x98")) + data[end:]


def another_encoding(rng, data):
    text = data.decode("utf-8", "replace")
    return rng.choice((b"\xef\xbb\xbf" + data, text.encode("utf-16"), text.encode("utf-32"), text.encode("latin-1", "replace")))


def numbers_replaced(rng, data):
    """Numbers that stand in a text replaced by strange ones."""
    text, places, place = data, [], 0
    while place < len(text):
        if text[place : place + 1].isdigit():
            end = place
            while end < len(text) and (text[end : end + 1].isdigit() or text[end : end + 1] in b".e+-"):
                end += 1
            places.append((place, end))
            place = end
        place += 1
    if not places:
        return splice_junk(rng, data)
    for start, end in sorted(rng.sample(places, min(len(places), rng.choice((1, 1, 1, 3)))), reverse=True):
        text = text[:start] + number(rng).encode() + text[end:]
    return text


def deep_nesting(rng, data):
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"{a=", b"}"), (b"[{", b"}]"), (b"(", b")"), (b"a.", b"")))
    depth = rng.choice(DEPTHS)
    nest = opening * depth + b"1" + rng.choice((b"", closing * depth))
    if rng.random() < 0.3:
        return nest
    start, end = chunk(rng, data, 8)
    return data[:start] + nest + data[end:]


def long_line(rng, data):
    piece = rng.choice((b"a", b"a ", b'"', b"1", b"\xc3\xa9", b"[", b"\t", b"ab,")) * rng.choice((10_000, 200_000))
    place = rng.randrange(len(data) + 1)
    return data[:place] + piece + data[place:]


ANY = (flip_bits, cut_off, duplicate_chunk, remove_chunk, move_chunk, splice_junk)
TEXT = (*ANY, bad_utf8, another_encoding, numbers_replaced, numbers_replaced, deep_nesting, long_line)


# Of lines.

def lines_changed(rng, data):
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(6)
    if what == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif what == 1:
        lines.insert(other, lines[one])
    elif what == 2:
        del lines[one]
    elif what == 3:
        lines[one] = b""
    elif what == 4:
        lines[one:one] = [lines[one]] * (rng.choice((10, 2000)) if len(lines[one]) < 1000 else 10)
    else:
        return rng.choice((b"\r\n", b"\r", b"", b"\n\n")).join(lines)
    return b"\n".join(lines)


# Of JSON.

def places(value, found=None, holder=None, key=None):
    """Every place in a JSON value, as (what holds it, its key)."""
    found = [] if found is None else found
    if holder is not None:
        found.append((holder, key))
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for inner, child in items:
        places(child, found, value, inner)
    return found


class Raw:
    """Text that stands in JSON as it is, such as a number that Python has not."""

    def __init__(self, text):
        self.text = text


def any_value(rng, value):
    what = rng.randrange(8)
    if what < 4:
        return Raw(number(rng))
    if what < 6:
        return rng.choice(TEXTS)
    if what == 6:
        return rng.choice(JSON_VALUES)
    return [value] * many(rng, value)


def many(rng, value):
    """How often to repeat a value: thousands of times where it is small, for copies of copies soon fill the memory."""
    return rng.choice((0, 1, 2, 1000)) if not isinstance(value, (dict, list)) else rng.choice((0, 1, 2))


def change_json(rng, value):
    """One change somewhere in a JSON value; gives the value."""
    value = {"": value}
    holder, key = rng.choice(places(value))
    what = rng.randrange(10)
    if what < 5:
        holder[key] = any_value(rng, holder[key])
    elif what == 5 and isinstance(holder, dict) and holder is not value:
        del holder[key]
    elif what == 6 and isinstance(holder, dict) and holder is not value:
        holder[rng.choice((*TEXTS, key + "x", key.upper(), "NAME"))] = holder.pop(key)
    elif what == 7 and isinstance(holder, list):
        holder[key:key] = [holder[key]] * many(rng, holder[key])
    elif what == 8 and isinstance(holder, list):
        del holder[key]
    else:
        other, inner = rng.choice(places(value))
        # Not into itself.
        holder[key] = json.loads(json.dumps(other[inner], default=lambda raw: raw.text)) if other is not value else None
    return value[""]


def dump_json(value, indent=None):
    """JSON with raw texts in it."""
    raws = []

    def note(raw):
        raws.append(raw.text)
        return f"\0RAW{len(raws) - 1}\0"

    text = json.dumps(value, default=note, indent=indent, ensure_ascii=False)
    for index, raw in enumerate(raws):
        text = text.replace(f'"\\u0000RAW{index}\\u0000"', raw)
    return text.encode("utf-8", "surrogatepass")


def json_changed(rng, data):
    try:
        value = json.loads(data)
    except ValueError:
        return flip_bits(rng, data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = change_json(rng, value)
    return dump_json(value, rng.choice((None, 2)))


def json_key_twice(rng, data):
    start = data.find(b"{")
    key = rng.choice([piece for piece in data.split(b'"')[1::2]] or [b"x"])
    return data[: start + 1] + b'"' + key + b'": ' + number(rng).encode() + b", " + data[start + 1 :]


def json_lines_changed(rng, data):
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 3))):
        index = rng.randrange(len(lines))
        if lines[index].strip():
            lines[index] = json_changed(rng, lines[index]).replace(b"\n", b" ")
    return b"\n".join(lines)


JSON = (*TEXT, *[json_changed] * 14, json_key_twice)
JSON_LINES = (*TEXT, *[json_lines_changed] * 10, *[lines_changed] * 2)
LINES = (*TEXT, *[lines_changed] * 6)


# Of TOML: by lines, since the standard library writes none.

def toml_value(rng):
    what = rng.randrange(6)
    if what < 3:
        return number(rng)
    if what == 3:
        return json.dumps(rng.choice(TEXTS))
    return rng.choice(
        (
            *("true", "false", "[]", "{}", "[1]", '["sst"]', '["sst", "sst"]', '"all"', '"auto"', "1979-05-27", "'''x", "[[1]]"),
            *('"pcgrad"', '"cosine"', '"bce"', '"mean"', '"f16"', '"bf16"', '"fresh"', '"json-lines"', '"csv"', '"combined"'),
            *('"additive"', '"none"', "{a=1}", '{ labels = "auto" }', "[0, 1]", "[1, 0]", "[0, 0]", "[nan, inf]", '["a", "a"]', '["", ""]'),
        )
    )


SECTIONS = """[train] [model] [model.random] [model.dropout] [data] [data.demo] [tasks] [tasks.sst] [tasks.sst.columns] [tasks.x]
[tasks.mnli] [[tasks]] [aggregator] [optimizer] [baseline] [regulariser.smart] [experiment] [experiment.paper] [a.b.c] ['']""".split()


def toml_changed(rng, data, keys=()):
    lines = data.decode("utf-8", "replace").split("\n")
    said = [index for index, line in enumerate(lines) if "=" in line and not line.startswith("#")]
    for _ in range(rng.choice((1, 1, 2, 5))):
        what = rng.randrange(10)
        if what < 6 and said:
            index = rng.choice(said)
            lines[index] = lines[index].split("=")[0] + "= " + toml_value(rng)
        elif what < 8 and keys:
            lines.insert(rng.randrange(len(lines) + 1), f"{rng.choice(keys)} = {toml_value(rng)}")
        elif what == 8:
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(SECTIONS))
        elif said:
            index = rng.choice(said)
            key, _, value = lines[index].partition("=")
            key = key.strip()
            twice = lines[index] + "\n" + lines[index]
            lines[index] = rng.choice((twice, f"{key}.x ={value}", f"{key.upper()} ={value}", f'"{key}" ={value}', key))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


# Of tables.

def table_changed(rng, data):
    separator = b"\t" if data.count(b"\t") > data.count(b",") else b","
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 3, 10))):
        index = rng.choice((0, rng.randrange(len(lines)), rng.randrange(len(lines))))
        cells = lines[index].split(separator)
        cell = rng.randrange(len(cells))
        what = rng.randrange(6)
        if what < 2:
            cells[cell] = number(rng).encode()
        elif what == 2:
            cells[cell] = rng.choice(TEXTS).encode()
        elif what == 3:
            cells[cell] = rng.choice((b'"', b'""', b'"a', b'a"b', b'"a""b"', b'"a\nb"', b"'", b"\\"))
        elif what == 4:
            cells.insert(cell, rng.choice((b"", cells[cell])))
        else:
            del cells[cell]
        lines[index] = separator.join(cells)
    return b"\n".join(lines)


TABLE = (*TEXT, *[table_changed] * 10, *[lines_changed] * 3)


# Of safetensors.

def safetensors_changed(rng, data):
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    except (ValueError, struct.error):
        return flip_bits(rng, data)
    what = rng.randrange(10)
    if what == 0:
        wrong = rng.choice((0, 1, length - 1, length + 1, length + 8, len(data), 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1))
        return struct.pack("<Q", wrong) + data[8:]
    if what == 1:
        return data[: 8 + length] + flip_bits(rng, body)
    if what in (2, 3):
        # Numbers that are none, in place of weights.
        body = bytearray(body)
        strange = rng.choice((b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\x00\x00\x80\xff", b"\xff\xff\x7f\x7f", b"\x01\x00\x00\x00", b"\x00\x00\x00\x00"))
        for _ in range(rng.choice((1, 10, 100))):
            if len(body) >= 4:
                place = rng.randrange(len(body) // 4) * 4
                body[place : place + 4] = strange
        return data[: 8 + length] + bytes(body)
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names) if names else ""
    if what == 4 and names:
        header[name]["dtype"] = rng.choice(("F16", "BF16", "F64", "I8", "I64", "U8", "BOOL", "F8_E4M3", "f32", "", "X"))
    elif what == 5 and names:
        shape = header[name].get("shape", [])
        mad = ([1 << 40], [1 << 32, 1 << 32], [(1 << 64) - 1, 2], [-1], [Raw(number(rng))])
        header[name]["shape"] = rng.choice(([], [0], shape[::-1], shape + [1], [1] + shape, *mad))
    elif what == 6 and names:
        begin, end = header[name].get("data_offsets", (0, 0))
        mad = ([begin, (1 << 64) - 1], [Raw(number(rng)), Raw(number(rng))], [begin])
        header[name]["data_offsets"] = rng.choice(([end, begin], [begin, end + 4], [begin + 4, end], [0, 0], *mad))
    elif what == 7 and names:
        header[rng.choice((name + "x", "", "x" * 5000, "bert." + name, name.upper(), rng.choice(names)))] = header.pop(name)
    elif what == 8 and names:
        del header[name]
    else:
        header = change_json(rng, header)
    text = dump_json(header)
    return struct.pack("<Q", len(text)) + text + body


SAFETENSORS = (flip_bits, cut_off, duplicate_chunk, remove_chunk, splice_junk, *[safetensors_changed] * 8)


def mutated(rng, mutators, data, keys=()):
    """The file after one mutation, seldom after more, and the names of what was done to it."""
    done = []
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        mutator = rng.choice(mutators)
        done.append(mutator.__name__)
        try:
            data = mutator(rng, data, keys) if mutator is toml_changed else mutator(rng, data)
        except (RecursionError, ValueError, TypeError, LookupError, AttributeError):
            # What an earlier mutation left is no longer of the format that this one knows.
            data = flip_bits(rng, data)
        # A file of megabytes tests the disk.
        data = data[: 4 << 20]
    return data, done


TOML = (*TEXT, *[toml_changed] * 12, lines_changed)
