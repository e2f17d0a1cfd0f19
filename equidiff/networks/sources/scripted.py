"""A TorchScript module as a tree of Python modules, so that hooks see the output of each layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

CALL, ATTRIBUTE, CONSTANT = "prim::CallMethod", "prim::GetAttr", "prim::Constant"


class Scripted(nn.Module):
    """A TorchScript module whose calls of its submodules go through Python.

    The graph of each method is cut at those calls. The pieces between them stay TorchScript, and each of their
    operations runs once and in its order, as some change their input. A call within a branch or a loop stays inside its
    piece, so hooks do not see it.

    Args:
        script: the module, in evaluation mode.
    """

    def __init__(self, script: Any) -> None:
        super().__init__()
        # parameters stay in the script: registered here, they would be listed twice
        object.__setattr__(self, "_script", script)
        self.original_name = str(script.original_name)
        for name, child in script.named_children():
            self.add_module(name, Scripted(child))
        self.whole = False
        self.failed: RuntimeError | None = None
        self._methods: dict[str, Method] = {}

    def forward(self, *inputs: Any) -> Any:
        """The result of the TorchScript module."""
        return self.run("forward", *inputs)

    def run(self, name: str, *inputs: Any) -> Any:
        """The result of one of the TorchScript module's methods."""
        script: Any = getattr(self, "_script")  # noqa: B009  nn.Module types every attribute as Tensor or Module
        if self.whole:
            return getattr(script, name)(*inputs)
        try:
            if name not in self._methods:
                self._methods[name] = Method(script._c._get_method(name))
            return self._methods[name].run(self, script._c, inputs)
        except RuntimeError as error:
            self.failed = error
            raise

    @torch.no_grad()
    def settle(self, inputs: Tensor) -> None:
        """Find the modules that cannot be cut, and leave each whole: hooks see its output, but not its layers.

        Some values of TorchScript cannot pass through Python, such as the undefined weights of a fused attention.

        Args:
            inputs: of the network.
        """
        parts = [module for module in self.modules() if isinstance(module, Scripted)]
        for _ in parts:
            try:
                output = self(inputs.clone())
            except RuntimeError as error:
                innermost = [part for part in parts if part.failed is error][-1]
                innermost.whole = True
                continue
            wanted = getattr(self, "_script")(inputs.clone())  # noqa: B009
            self.whole = not (torch.is_tensor(wanted) and torch.allclose(output, wanted, rtol=1e-4, atol=1e-6))
            return


@dataclass(frozen=True)
class Piece:
    """Operations between two calls.

    Attributes:
        function: of the module's own object and of the values that the piece reads.
        reads: names of those values.
        writes: names of its results.
    """

    function: Any
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """A call of a submodule's method.

    Attributes:
        path: attributes that lead to the submodule.
        method: its name.
        reads: names of the arguments.
        write: name of the result.
    """

    path: tuple[str, ...]
    method: str
    reads: tuple[str, ...]
    write: str


class Method:
    """A method's graph as a sequence of pieces and calls.

    Args:
        method: of TorchScript; it is not changed.
    """

    def __init__(self, method: Any) -> None:
        graph = method.graph.copy()
        values = [value for node in graph.nodes() for value in node.outputs()]
        for index, value in enumerate([*graph.inputs(), *values]):
            value.setDebugName(f"value{index}")  # copies keep names, but number values without one anew
        _, *inputs = graph.inputs()
        self._inputs = [value.debugName() for value in inputs]
        self._outputs = [value.debugName() for value in graph.outputs()]
        self._defaults = [argument.default_value for argument in method.schema.arguments[1:]]
        constants = [node.output() for node in graph.nodes() if node.kind() == CONSTANT]
        self._constants = {value.debugName(): value.toIValue() for value in constants}
        self._steps = list(_steps(graph))

    def run(self, module: Scripted, script: Any, inputs: Sequence[Any]) -> Any:
        """Run the pieces in TorchScript, and the calls in Python."""
        inputs = [*inputs, *self._defaults[len(inputs) :]]
        values = {**self._constants, **dict(zip(self._inputs, inputs, strict=True))}
        for step in self._steps:
            given = [values[name] for name in step.reads]
            if isinstance(step, Call):
                target: Any = module.get_submodule(".".join(step.path))
                values[step.write] = target(*given) if step.method == "forward" else target.run(step.method, *given)
            else:
                values |= zip(step.writes, step.function(script, *given), strict=True)
        results = [values[name] for name in self._outputs]
        return results[0] if len(results) == 1 else tuple(results)


def _steps(graph: Any) -> Iterator[Piece | Call]:
    between: list[int] = []
    for index, node in enumerate(graph.nodes()):
        if node.kind() == CALL:
            if between:
                yield _piece(graph, between)
            between = []
            target, *arguments = node.inputs()
            reads = tuple(value.debugName() for value in arguments)
            yield Call(_path(target), node.s("name"), reads, node.output().debugName())
        elif not _is_free(node):
            between.append(index)
    if between:
        yield _piece(graph, between)


def _is_free(node: Any) -> bool:
    """Tell if a node may stand in every piece: a constant, or a submodule."""
    of_module = node.kind() == ATTRIBUTE and isinstance(node.output().type(), torch._C.ClassType)
    return node.kind() == CONSTANT or of_module


def _path(value: Any) -> tuple[str, ...]:
    """Names of the attributes that lead from the module to one of its submodules."""
    node = value.node()
    return (*_path(node.inputsAt(0)), node.s("name")) if node.kind() == ATTRIBUTE else ()


def _piece(graph: Any, chosen: Sequence[int]) -> Piece:
    """Make a function of some nodes of a graph."""
    graph = graph.copy()
    nodes = list(graph.nodes())
    _, *inputs = graph.inputs()
    own = [nodes[index] for index in chosen]
    others = [node for index, node in enumerate(nodes) if index not in chosen and not _is_free(node)]
    outside = {value.debugName(): value for node in others for value in node.outputs()}
    outside |= {value.debugName(): value for value in inputs}
    wanted = {name for node in others for name in _reads(node)} | {value.debugName() for value in graph.outputs()}
    reads = sorted({name for node in own for name in _reads(node)} & outside.keys())
    results = {value.debugName(): value for node in own for value in node.outputs()}
    writes = [name for name in results if name in wanted]

    for _ in list(graph.outputs()):
        graph.eraseOutput(0)
    for name in reads:
        given = graph.addInput()
        given.setType(outside[name].type())
        outside[name].replaceAllUsesWith(given)
    # a function returns one value
    pack = graph.appendNode(graph.create("prim::TupleConstruct", [results[name] for name in writes], 1))
    pack.output().setType(torch._C.TupleType([results[name].type() for name in writes]))
    graph.registerOutput(pack.output())
    for node in reversed(others):
        node.destroy()
    for _ in inputs:
        graph.eraseInput(1)
    return Piece(torch._C._create_function_from_graph("piece", graph), tuple(reads), tuple(writes))


def _reads(node: Any) -> set[str]:
    """Names of the values that a node reads, also within its branches and loops."""
    names = {value.debugName() for value in node.inputs()}
    for block in node.blocks():
        inner = list(block.nodes())
        made = {value.debugName() for value in block.inputs()}
        made |= {value.debugName() for each in inner for value in each.outputs()}
        read = {name for each in inner for name in _reads(each)} | {value.debugName() for value in block.outputs()}
        names |= read - made
    return names
