"""Print the state of the house: `python tests/house.py [FOLDER]`, where FOLDER is a package (default: equidiff).

A room is a module or a package at the top level. Imports count wherever they stand, inside functions too. Circles are
reported twice: without what stands under TYPE_CHECKING, which never runs, and with it; the longest chain is with it.
Functions include methods and nested functions; their lines begin at `def`.
"""

from __future__ import annotations

import argparse
import ast
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

QUESTION_WORDS = ("What", "Where", "Whether", "How", "Which", "When", "Who")
LONG_FUNCTION, LONG_FILE = 40, 300
DEFAULT = Path(__file__).parents[1] / "equidiff"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Graph = dict[str, set[str]]


@dataclass(frozen=True)
class House:
    """A package on disk, read but not imported."""

    folder: Path

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Files by dotted name; a package goes by its own name."""
        return {self._name(file): file for file in sorted(self.folder.rglob("*.py"))}

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        return {name: ast.parse(file.read_text()) for name, file in self.modules.items()}

    @cached_property
    def top_files(self) -> list[str]:
        return sorted(file.name for file in self.folder.glob("*.py"))

    @cached_property
    def rooms(self) -> list[str]:
        """Modules and packages at the top level, without the package's own `__init__` and `__main__`."""
        return sorted({name.split(".")[1] for name in self.modules if "." in name} - {"__main__"})

    @cached_property
    def file_lengths(self) -> dict[str, int]:
        return {name: len(file.read_text().splitlines()) for name, file in self.modules.items()}

    @cached_property
    def function_lengths(self) -> dict[str, int]:
        """Lines of each function, by `module:line name`."""
        return {
            f"{module}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
            for module, tree in self.trees.items()
            for node in ast.walk(tree)
            if isinstance(node, FUNCTIONS)
        }

    @cached_property
    def docstrings(self) -> dict[str, str]:
        """All docstrings, private ones included, by `module:line`."""
        found = (
            (f"{module}:{getattr(node, 'lineno', 1)}", ast.get_docstring(node))
            for module, tree in self.trees.items()
            for node in ast.walk(tree)
            if isinstance(node, DOCUMENTED)
        )
        return {place: text for place, text in found if text}

    def _name(self, file: Path) -> str:
        return ".".join(file.relative_to(self.folder.parent).with_suffix("").parts).removesuffix(".__init__")

    def imports(self, *, type_checking: bool = False) -> Graph:
        """Modules that each module imports; with `type_checking` also for annotations alone."""
        return {
            name: {target for node in _imports(tree, type_checking) for target in self._targets(name, node)} - {name}
            for name, tree in self.trees.items()
        }

    def _targets(self, name: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in self.modules)
            return
        source = self._source(name, node)
        for each in node.names:
            module = f"{source}.{each.name}"
            yield from [found for found in (module, source) if found in self.modules][:1]

    def _source(self, name: str, node: ast.ImportFrom) -> str:
        """Absolute name of the module that an import is from."""
        if not node.level:
            return node.module or ""
        package = name.split(".") if self.modules[name].name == "__init__.py" else name.split(".")[:-1]
        parents = package[: len(package) - node.level + 1]
        return ".".join([*parents, *([node.module] if node.module else [])])

    def room_imports(self, *, type_checking: bool = False) -> Graph:
        """Rooms that each room imports."""
        found: Graph = {room: set() for room in self.rooms}
        for name, targets in self.imports(type_checking=type_checking).items():
            room, reached = _room(name), {_room(target) for target in targets}
            if room in found:
                found[room] |= {each for each in reached - {room} if each in found}
        return found


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _imports(node: ast.AST, type_checking: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports below a node, `if TYPE_CHECKING:` left out unless asked for."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING") and not type_checking:
            yield from (each for other in child.orelse for each in _imports(other, type_checking))
        else:
            yield from _imports(child, type_checking)


def circles(graph: Graph) -> list[set[str]]:
    """Groups of nodes that reach each other, two or more in each."""
    reach = {node: _reachable(graph, node) for node in graph}
    groups = {frozenset({node, *(other for other in reach[node] if node in reach[other])}) for node in graph}
    return [set(group) for group in groups if len(group) > 1]


def _reachable(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def longest_chain(graph: Graph) -> list[str]:
    """Longest path down the graph; all that are in a circle follow each other."""
    names = {node: node for node in graph} | {node: min(group) for group in circles(graph) for node in group}
    members = {name: sorted(node for node in graph if names[node] == name) for name in names.values()}
    chains: dict[str, list[str]] = {}

    def chain(name: str) -> list[str]:
        if name not in chains:
            below = {names[target] for node in members[name] for target in graph[node]} - {name}
            chains[name] = members[name] + max((chain(other) for other in sorted(below)), key=len, default=[])
        return chains[name]

    return max((chain(name) for name in sorted(members)), key=len, default=[])


def is_interrogative(docstring: str) -> bool:
    """True for a docstring that begins with a question word."""
    return docstring.split(maxsplit=1)[0].rstrip(",.:") in QUESTION_WORDS


def _spread(lengths: dict[str, int]) -> str:
    values = sorted(lengths.values())
    ninth = values[len(values) * 9 // 10]
    return f"median {statistics.median(values):g}, 90th percentile {ninth}, longest {values[-1]}, of {len(values)}"


def over(lengths: dict[str, int], limit: int) -> list[str]:
    """Names, each with its length, of what is longer than the limit."""
    return [f"{name} ({length})" for name, length in lengths.items() if length > limit]


def _circle_lines(edges: Callable[..., Graph]) -> list[str]:
    """One line for the circles of what runs, one for those that annotations alone would close."""
    found = {kind: circles(edges(type_checking=kind)) for kind in (False, True)}
    texts = {kind: "; ".join(" + ".join(sorted(group)) for group in found[kind]) for kind in found}
    return [f"{len(found[False])}  {texts[False]}", f"{len(found[True])}  {texts[True]}"]


def describe(house: House) -> Iterator[tuple[str, str]]:
    """Pairs of a measure's name and its value."""
    chain = longest_chain(house.room_imports(type_checking=True))
    functions, files = (over(house.function_lengths, LONG_FUNCTION), over(house.file_lengths, LONG_FILE))
    asked = sum(map(is_interrogative, house.docstrings.values()))
    packages = sum((house.folder / room).is_dir() for room in house.rooms)
    yield "files at the top", f"{len(house.top_files)}  {' '.join(house.top_files)}"
    yield "rooms", f"{len(house.rooms)} ({packages} packages)  {' '.join(house.rooms)}"
    yield "lines of a file", _spread(house.file_lengths)
    yield "lines of a function", _spread(house.function_lengths)
    share = len(functions) / len(house.function_lengths)
    yield f"functions over {LONG_FUNCTION}", f"{len(functions)} ({share:.1%})  {', '.join(functions)}"
    yield f"files over {LONG_FILE}", f"{len(files)}  {', '.join(files)}"
    for scale, edges in (("rooms", house.room_imports), ("modules", house.imports)):
        runs, with_annotations = _circle_lines(edges)
        yield f"circles of {scale}", runs
        yield "  with TYPE_CHECKING", with_annotations
    yield "longest chain", f"{len(chain)}  {' > '.join(chain)}"
    yield "docstrings that ask", f"{asked} of {len(house.docstrings)} ({asked / len(house.docstrings):.1%})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the state of the house.")
    parser.add_argument("folder", type=Path, nargs="?", default=DEFAULT, help="a package's folder (default: equidiff)")
    for measure, value in describe(House(parser.parse_args().folder.resolve())):
        print(f"{measure:20} {value}".rstrip())
