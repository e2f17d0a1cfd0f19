"""Damage that a JSON file may have: values of other kinds, keys that lack, numbers and nesting beyond reason."""

import copy
import json

VALUES = (
    None, True, -1, 0, 7, 10**12, 2**63, 10**25, -0.5, 1e308, float("nan"), float("inf"), "", "x",
    "../../../../etc/passwd", "<script>alert(1)</script>", "\x1b[31mred\x1b]0;title\x07", "a\u2028b\x85c\x0cd\ne",
    "\ud800", "[/bold]", [], [None], [[]], {}, {"a": 1}, ["x", 3], [1.5] * 40,
)  # fmt: skip
TEXTS = (
    b"", b"null", b"[]", b"3", b'"text"', b"{", b"\xff\xfe{}", b"{}" * 2, b"[" * 100_000, b'{"a":' * 5_000,
    b'{"schema_version": 1}', b'{"schema_version": 99}', b"1" * 1_000_000, b"\0" * 64, b'{"a": NaN, "a": 1e999}',
)  # fmt: skip


def places(value, prefix=()):
    """Paths of keys and positions to all values within a value; of a long list only the first ones."""
    yield prefix
    pairs = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*prefix, key))


def mutated(value, random):
    """A copy with one to three changes."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        *way, last = random.choice([place for place in places(value) if place] or [(None,)])
        if last is None:
            return random.choice(VALUES)
        inside = value
        for key in way:
            inside = inside[key]
        change = random.choice(("value", "value", "value", "delete", "add", "swap", "deep", "repeat"))
        _change(inside, last, change, random)
    return value


def _change(inside, key, change, random):
    if change == "delete":
        del inside[key]
    elif change == "add":
        added = random.choice(VALUES)
        if isinstance(inside, list):
            inside.insert(0, added)
        else:
            inside[random.choice(("", "x", "status"))] = added
    elif change == "swap":
        other = random.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
        inside[key], inside[other] = inside[other], inside[key]
    elif change == "deep":
        for _ in range(random.choice((3, 40))):
            inside[key] = [inside[key]]
    elif change == "repeat" and isinstance(inside[key], (list, str)):
        inside[key] = inside[key] * 3
    else:
        inside[key] = copy.deepcopy(random.choice(VALUES))


def damaged_text(text, random):
    """The text of a JSON file, or of one with a value on each line, after some damage."""
    kind = random.choice(("json",) * 6 + ("text", "bytes", "cut", "bom"))
    if kind == "text":
        return random.choice(TEXTS)
    if kind == "bytes":
        content = bytearray(text)
        for _ in range(random.randint(1, 4)):
            content[random.randrange(len(content))] = random.randrange(256)
        return bytes(content)
    if kind == "cut":
        return text[: random.randrange(len(text))]
    if kind == "bom":
        return b"\xef\xbb\xbf" + text
    lines = text.decode().split("\n")
    try:
        return json.dumps(mutated(json.loads(text), random)).encode()
    except ValueError:  # several lines
        filled = [number for number, line in enumerate(lines) if line]
        chosen = random.choice(filled)
        if random.random() < 0.2:
            lines[chosen] = random.choice((lines[filled[0]], "", "\u2028", random.choice(TEXTS).decode("latin-1")))
        else:
            lines[chosen] = json.dumps(mutated(json.loads(lines[chosen]), random))
        return "\n".join(lines).encode("utf-8", "surrogatepass")
