"""Exported programs of `torch.export`, after a check that loading them runs no code but tensor operations.

`torch.export.load` unpickles freely where an archive says so, evaluates the text of symbolic sizes, and calls any
function of torch that a graph names. What an archive asks of it is therefore read first.
"""

from __future__ import annotations

import io
import logging
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from equidiff.errors import UnsupportedError, WeightsError, first_line
from equidiff.folders.json_files import parse_json
from equidiff.networks.checkpoints import hash_weights
from equidiff.networks.checkpoints.archives import open_archive
from equidiff.networks.libraries import without_logging
from equidiff.networks.network import Network
from equidiff.networks.request import Request
from equidiff.networks.sources.building import assemble

EXPECTED = "a file of torch.export.save(torch.export.export(model.eval(), ...), PATH)"
OPERATION = re.compile(r"torch\.ops\.(aten|prims|higher_order)\.[\w.]+|_operator\.\w+|math\.\w+|torch\.sym_\w+")
EARLIER = "serialized_exported_program.json"  # of an older format, which torch reads where it fails to read this one
SYMBOL = re.compile(r"'\w+'")
WORD = re.compile(r"[A-Za-z_]\w*")
SIGNS = re.compile(r"[\w\s,()=+*/<>.-]*")
# that expressions of sizes consist of, with their symbols: s77, u0
WORDS = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Abs|(Python)?Mod|(Floor|Ceil|Clean|IntTrue)Div|(Ceil|Floor)ToInt"
    r"|ToFloat|TruncToInt|Eq|Ne|Lt|Le|Gt|Ge|Not|And|Or|positive|integer|real|nonnegative|True|False|oo|[suz]+[fi]?\d+"
)


def load(request: Request) -> Network:
    """Load an exported program as a network with the layers of the module that was exported.

    Raises:
        UsageError: an option does not apply.
        WeightsError: it is not such a file.
        UnsupportedError: it holds more than tensors and their operations, or takes other inputs than a batch of images.
    """
    request.refuse(
        *("checkpoint", "pretrained", "pad"),
        why="An exported program contains its weights.",
        expected="size, mean and std",
    )
    path = Path(request.name).expanduser()
    checked = _checked(path)
    try:
        with without_logging(logging.WARNING):  # of what the error says, with a traceback
            program = torch.export.load(checked)
        shape = _input_shape(program, request.model)
        module = torch.export.unflatten(program)
    except UnsupportedError:
        raise
    except Exception as error:  # whatever torch raises for a program of another version, or a damaged one
        raise WeightsError(
            f"The exported program cannot be loaded: {first_line(error)}", given=path, expected=EXPECTED
        ) from error
    record = hash_weights(path)
    if record not in request.context.weights:
        request.context.weights.append(record)
    return assemble(request, module, shape=shape)


def _checked(path: Path) -> io.BytesIO:
    """A copy of an archive whose members would not make `torch.export.load` run code.

    Python's and torch's reader may find other members in one file. In the copy, torch finds those that were checked.
    """
    if not path.is_file():
        raise WeightsError("The file does not exist.", given=path, expected=EXPECTED)
    if not zipfile.is_zipfile(path):
        raise WeightsError("This is not an exported program.", given=path, expected=EXPECTED)
    copy = io.BytesIO()
    with open_archive(path, EXPECTED) as archive, zipfile.ZipFile(copy, "w") as checked:
        names = archive.namelist()
        models = [name for name in names if re.search(r"(^|/)models/[^/]+\.json$", name)]
        if not models or EARLIER in names:
            raise WeightsError("This is not an exported program of a current torch.", given=path, expected=EXPECTED)
        for name in names:
            content = archive.read(name)
            reason = _reason(content, name, name in models)
            if reason:
                raise UnsupportedError(
                    f"The exported program holds {reason}, which would run code.",
                    given=f"{path}: {name}",
                    expected="tensors and tensor operations only",
                    hint="model=module:FILE.py:FUNCTION, with code that you trust",
                )
            checked.writestr(name, content)
    copy.seek(0)
    return copy


def _reason(content: bytes, name: str, is_model: bool) -> str | None:
    """What of a file in the archive would run code; None if nothing would."""
    if is_model:
        return _in_graph(parse_json(content))
    if "/aotinductor/" in f"/{name}":
        return "compiled code"
    if name.endswith("_config.json"):
        entries = parse_json(content).get("config", {}).values()
        pickled = any(each.get("use_pickle") or "_obj" in str(each.get("path_name")) for each in entries)
        return "pickled objects" if pickled else None
    if name.endswith(".pt"):
        try:
            torch.load(io.BytesIO(content), weights_only=True)
        except Exception:  # torch.export.load would try again without the restriction
            return "pickled objects"
    return None


def _in_graph(model: Any) -> str | None:
    for key, value in _texts(model):
        if key == "target" and not OPERATION.fullmatch(value):
            return f"the operation {value}"
        if key == "expr_str":
            rest = SYMBOL.sub("", value)
            if not SIGNS.fullmatch(rest) or not all(WORDS.fullmatch(word) for word in WORD.findall(rest)):
                return f"the expression {value!r}"
    return None


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, with its key."""
    if isinstance(value, dict):
        for key, part in value.items():
            if isinstance(part, str):
                yield str(key), part
            else:
                yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _input_shape(program: Any, model: str) -> tuple[int, ...] | None:
    """Shape of one input; None if height or width are free.

    Raises:
        UnsupportedError: there are several inputs, or the size of the batch is fixed.
    """
    inputs = program.graph_signature.user_inputs
    values = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in inputs]
    if len(values) != 1 or not isinstance(values[0], torch.Tensor) or values[0].ndim not in (2, 4):
        raise UnsupportedError(
            f"{model} does not take a batch of images.",
            given=f"{len(inputs)} inputs",
            expected="one input, [batch, 3, ...]",
        )
    batch, *sizes = values[0].shape
    if isinstance(batch, int):
        raise UnsupportedError(
            f"{model} was exported for batches of exactly {batch}.",
            given=f"inputs of shape {tuple(values[0].shape)}",
            expected="a program for batches of any size",
            hint="torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim('batch')},))",
        )
    return tuple(sizes) if all(isinstance(size, int) for size in sizes) else None
