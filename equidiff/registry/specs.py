"""Spec strings, which name components on the command line and in `run.json`.

    name[:argument][,key=value...]          sae:6547,layer=9,tokens=cls
    [weight*]spec + [weight*]spec ...       neuron:a + 0.5*neuron:b      (objectives only)
    spec,spec,...                           saliency,occlusion,window=7  (`equidiff compare` only)

A comma, a plus sign or a per cent sign inside an argument or a value is written `%2C`, `%2B`, `%25`, unless it belongs
to the path of something that exists: `checkpoint=a+b.pt` is understood where there is such a file. A printed spec
parses to the same spec again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from equidiff.errors import SpecError
from equidiff.registry.paths import escape, escape_paths, unescape

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
ASSIGNED = re.compile(rf"\s*{NAME.pattern}=[^:=,]+(,|$)")  # lowpass=0.5, for lowpass:0.5
WEIGHT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE]-?\d+)?)\s*\*(.*)", re.DOTALL)
MOST_LETTERS, MOST_PARTS = 16_384, 256  # of a text with specs: each may name several paths, and a path has 4,096 bytes
GRAMMAR = "name[:argument][,key=value...], e.g. neuron:pool.17 or sae:6547,layer=9"


@dataclass(frozen=True)
class Spec:
    """A component's name, argument and options, all of them still text."""

    name: str
    argument: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Parse `name[:argument][,key=value...]`.

        Raises:
            SpecError: the text does not follow the grammar, or names an option twice.
        """
        _check_size(text)
        head, *pairs = escape_paths(text.strip()).split(",")
        name, colon, argument = head.partition(":")
        if not NAME.fullmatch(name):
            hint = text.strip().replace("=", ":", 1) if ASSIGNED.match(text) else None
            problem = "This is not the name of a component."
            raise SpecError(problem, given=repr(name or text), expected=GRAMMAR, hint=hint)
        if colon and not argument:
            raise SpecError("The argument after the colon is empty.", given=repr(text), expected=GRAMMAR)
        options: dict[str, str] = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            key = key.strip()
            if not equals or not NAME.fullmatch(key):
                raise SpecError(
                    "An option is written key=value.",
                    given=repr(pair),
                    expected=GRAMMAR,
                    hint=f"{_before(text, f',{pair}')}%2C{pair}   # for a comma that is a part of a name",
                )
            if key in options:
                raise SpecError(f"The option {key!r} is given twice.", given=repr(text))
            options[key] = unescape(value)
        return cls(name, unescape(argument) if colon else None, options)

    def __str__(self) -> str:
        text = self.name if self.argument is None else f"{self.name}:{escape(self.argument)}"
        return ",".join([text, *(f"{key}={escape(value)}" for key, value in self.options.items())])

    def __hash__(self) -> int:
        return hash(str(self))


def parse_list(text: str) -> list[Spec]:
    """Parse `spec,spec,...`; a part `key=value` is an option of the spec before it.

    Raises:
        SpecError: a part is empty, an option comes first, or a spec is malformed.
    """
    _check_size(text)
    groups: list[list[str]] = []
    for part in escape_paths(text).split(","):
        key, equals, _ = part.partition("=")
        if not part.strip():
            raise SpecError("The list has an empty entry.", given=repr(text), expected="saliency,occlusion,window=7")
        if not (equals and NAME.fullmatch(key.strip())):
            groups.append([part])
        elif groups:
            groups[-1].append(part)
        else:
            raise SpecError("The list begins with an option.", given=repr(text), expected="a name before it")
    return [Spec.parse(",".join(group)) for group in groups]


def print_list(specs: Iterable[Spec]) -> str:
    """Print specs as a text that `parse_list` reads back."""
    return ",".join(map(str, specs))


def parse_sum(text: str) -> list[tuple[float, Spec]]:
    """Parse `[weight*]spec + [weight*]spec ...`.

    Returns:
        Weights and specs, in the order given; a missing weight is 1.

    Raises:
        SpecError: a term is empty or malformed.
    """
    _check_size(text)
    terms = []
    for part in escape_paths(text).split("+"):
        if not part.strip():
            raise SpecError("The sum has an empty term.", given=repr(text), expected="spec + 0.5*spec")
        match = WEIGHT.fullmatch(part)
        try:
            terms.append((float(match[1]), Spec.parse(match[2])) if match else (1.0, Spec.parse(part)))
        except SpecError as error:
            if terms and error.hint is None:
                error.hint = f"{_before(text, f'+{part}')}%2B{part}   # for a plus sign that is a part of a name"
            raise
    return terms


def print_sum(terms: list[tuple[float, Spec]]) -> str:
    """Print terms as a text that `parse_sum` reads back."""
    return " + ".join(str(spec) if weight == 1 else f"{_number(weight)}*{spec}" for weight, spec in terms)


def _check_size(text: str) -> None:
    """Refuse a text that nobody types: reading it would take minutes, and building what it names hours."""
    if len(text) > MOST_LETTERS or max(text.count(","), text.count("+")) > MOST_PARTS:
        raise SpecError(
            "This text is too long for a spec.",
            given=f"{text[:40]}... with {len(text):,} letters",
            expected=f"at most {MOST_LETTERS:,} letters, and {MOST_PARTS} options or terms",
        )


def _number(value: float) -> str:
    return repr(value).replace("e+", "e")


def _before(text: str, rest: str) -> str:
    return text.partition(rest)[0]
