"""Descriptors of components, by which they are listed and checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from equidiff.registry.specs import NAME

KINDS = ("generator", "objective", "regularizer", "solver", "law", "attribution", "executor")


class Options(BaseModel):
    """Base class for the options of a component: each field is set by `,key=value`, and an unknown key is an error.

    Numbers are finite, unless a field is declared with `allow_inf_nan=True`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Reference:
    """A publication that a component implements, printed by `equidiff cite`."""

    key: str
    authors: str
    title: str
    year: int
    url: str

    def bibtex(self) -> str:
        """Format the reference as a BibTeX entry."""
        return (
            f"@misc{{{self.key},\n  author = {{{self.authors}}},\n  title = {{{self.title}}},\n"
            f"  year = {{{self.year}}},\n  url = {{{self.url}}},\n}}"
        )


@dataclass(frozen=True)
class Published:
    """Files that a component takes from a model hub.

    Attributes:
        files: the repository and the name of each; empty where it needs none, or cannot tell.
        by_hand: commands that fetch them on another machine, and the use of what they fetch, a line each.
        instead: a spec of the same component that needs no files.
    """

    files: tuple[tuple[str, str], ...]
    by_hand: tuple[str, ...]
    instead: str


@dataclass(frozen=True)
class Descriptor:
    """One component that a plugin offers.

    Attributes:
        name: the name that users type, e.g. "lowpass".
        factory: import string "package.module:function". The function is called as
            `factory(argument: str | None, options: Options, context: BuildContext)` and returns the component.
            `argument` is the text after the colon of the spec, None where there is no colon.
        summary: one line on its purpose.
        argument: meaning of the text after the colon, for `equidiff show`. Empty says that the component takes none:
            a spec with an argument is refused, and the factory always gets None.
        options: pydantic model of its options.
        references: publications to cite.
        needs: import names of the packages that it needs beyond those of EquiDiff.
        examples: specs that work exactly as written.
        listing: import string of a function without arguments that returns the column names and rows of a table of
            the available choices, which `equidiff show` prints.
        published: import string of a function that says, by argument and options, which files the component takes
            from a model hub: a `Published`, or None. It imports nothing heavy: a run that cannot have them is refused
            before torch is loaded.
        check: import string of a function that says which arguments cannot be built, without loading weights that it
            does not need: called as `check(arguments, options, context)`, with all arguments of a sweep that have these
            options, it yields each bad one with its error. A sweep is refused before it starts then.
        synonyms: names under which users may look for an option or for the argument, e.g. in other libraries. They are
            not accepted: the error says what to write instead, either the name of an option ("lr") or, after a colon,
            the argument (":{value}", or ":[{argument}.]{value}", whose part in brackets needs an argument).
    """

    name: str
    factory: str
    summary: str
    argument: str = ""
    options: type[Options] = Options
    references: tuple[Reference, ...] = ()
    needs: tuple[str, ...] = ()
    examples: tuple[str, ...] = field(default=())
    listing: str = ""
    published: str = ""
    check: str = ""
    synonyms: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def __post_init__(self) -> None:
        """Refuse fields of other types here, where the line of the plugin is known.

        Raises:
            TypeError: a field is not what it should be.
        """
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise TypeError(f"Descriptor.name is {self.name!r}; write a word, such as name='brightness'")
        for each in ("factory", "listing", "published", "check"):
            given = getattr(self, each)
            if callable(given):
                path = f"{given.__module__}:{given.__qualname__}"
                raise TypeError(f"Descriptor.{each} is a function; write {each}={path!r}, imported when needed")
        for each in ("factory", "summary", "argument", "listing", "published", "check"):
            _require(self, each, str, "a text")
        examples = {"references": "Reference(...)", "needs": "'scipy'", "examples": repr(self.name)}
        for each, example in examples.items():
            _require(self, each, tuple, f"a tuple: {each}=({example},)")
        if not (isinstance(self.options, type) and issubclass(self.options, Options)):
            raise TypeError(f"Descriptor.options is {self.options!r}; write a subclass of equidiff.plugin.Options")


def _require(descriptor: Descriptor, name: str, kind: type, wanted: str) -> None:
    given = getattr(descriptor, name)
    if not isinstance(given, kind):
        raise TypeError(f"Descriptor.{name} is {given!r}; write {wanted}")
