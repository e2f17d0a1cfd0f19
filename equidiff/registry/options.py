"""The options of a spec, checked against the model in a descriptor, with errors in plain words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from equidiff.errors import SpecError, nearest, one_of
from equidiff.registry.descriptors import Descriptor, Options
from equidiff.registry.specs import Spec

# options of commands, which users also try to set inside a spec
COMMAND_OPTIONS = ("samples", "budget", "tolerance", "query", "target", "batch", "seed", "device", "dtype", "start")
NOUNS = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "null": "no value",
}
OPTIONAL = re.compile(r"\[(.*?)\]")
NO_INDEX = "0"


def check_argument(kind: str, descriptor: Descriptor, spec: Spec) -> None:
    """Check that a component takes the text after the colon of its spec.

    Raises:
        SpecError: it takes none, or the text is an option; the message says how to write what was meant.
    """
    key, equals, value = (spec.argument or "").partition("=")
    meant = Spec(spec.name, None, {key: value, **spec.options})
    if equals and key in descriptor.synonyms:
        raise _unknown_option(descriptor, meant, key, given=spec)
    if equals and key in _fields(descriptor):
        raise SpecError(
            f"The option {key!r} of {descriptor.name!r} is written after a comma.",
            given=spec,
            expected=f"{descriptor.name}{':ARGUMENT' if descriptor.argument else ''},{key}=VALUE",
            hint=str(meant),
        )
    if spec.argument is not None and not descriptor.argument:
        raise SpecError(
            f"The {kind} {descriptor.name!r} takes no argument.",
            given=spec,
            expected=" or ".join(descriptor.examples or (descriptor.name,)),
            hint=f"equidiff show {kind} {descriptor.name}",
        )


def read_options(descriptor: Descriptor, spec: Spec) -> Options:
    """Check the options of a spec against the model in its descriptor.

    Raises:
        SpecError: an option does not exist (the message says how to write what was meant), or its value is invalid.
    """
    for key in spec.options:
        if key not in _fields(descriptor):
            raise _unknown_option(descriptor, spec, key, given=spec)
    try:
        return descriptor.options.model_validate(dict(spec.options))
    except ValidationError as error:
        raise _invalid_value(descriptor, spec, error) from None


def _fields(descriptor: Descriptor) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in descriptor.options.model_fields.items()}


def _unknown_option(descriptor: Descriptor, spec: Spec, key: str, given: Spec) -> SpecError:
    known = _fields(descriptor)
    problem = f"{descriptor.name!r} has no option {key!r}."
    if key in descriptor.synonyms:
        written = descriptor.synonyms[key]
        hint = str(_rewritten(spec, descriptor.synonyms))
        if written.startswith(":"):
            meaning = descriptor.argument.split("\n")[0]
            return SpecError(problem, given=given, expected=f"after the colon: {meaning}", hint=hint)
        return SpecError(problem, given=given, expected=known[written].description, similar=[written], hint=hint)
    expected = one_of(known) if known else "no options"
    near = nearest(key, known)
    if near:
        hint = str(_rewritten(spec, {key: near[0]}))
        return SpecError(problem, given=given, expected=expected, similar=near, hint=hint)
    if key in COMMAND_OPTIONS:
        hint = f"--{key} {spec.options[key]}"
        return SpecError(problem, given=given, expected=f"an option of the command, --{key}", hint=hint)
    return SpecError(problem, given=given, expected=expected)


def _rewritten(spec: Spec, synonyms: Mapping[str, str]) -> Spec:
    """A spec with each synonym written as the component reads it, in the order of the synonyms."""
    argument, options = spec.argument, dict(spec.options)
    for key, written in synonyms.items():
        if key not in spec.options:
            continue
        if written.startswith(":"):
            pattern = OPTIONAL.sub("" if argument is None else r"\1", written[1:])
            argument = pattern.format(argument=argument or NO_INDEX, value=options.pop(key))
        else:
            options = {written if name == key else name: value for name, value in options.items()}
    return Spec(spec.name, argument, options)


def _invalid_value(descriptor: Descriptor, spec: Spec, error: ValidationError) -> SpecError:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")  # raised by a validator of the plugin
    if not first["loc"]:
        return SpecError(f"{descriptor.name!r} cannot take these options: {cause or first['msg']}", given=spec)
    field = str(first["loc"][0])
    value = spec.options.get(field, "")
    schema = _resolved(descriptor.options.model_json_schema(by_alias=True), field)
    words = value_in_words(schema)
    if first["type"] == "finite_number":
        words = words.replace("a number", "a finite number")
    near = nearest(value, _choices(schema))
    description = schema.get("description")
    return SpecError(
        f"The option {field!r} of {descriptor.name!r} has an invalid value{f': {cause}' if cause else '.'}",
        given=f"{field}={value}",
        expected=f"{words}\n{description}" if description else words,
        similar=near,
        hint=str(Spec(spec.name, spec.argument, {**spec.options, field: near[0]})) if near else None,
    )


def _resolved(schema: dict[str, Any], field: str) -> dict[str, Any]:
    """The schema of a field, with the definitions that it refers to in their places."""
    definitions = schema.get("$defs", {})

    def resolve(part: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in part:
            part = {**definitions[part["$ref"].rpartition("/")[2]], **part}
        if "anyOf" in part:
            part = {**part, "anyOf": [resolve(each) for each in part["anyOf"]]}
        return part

    return resolve(schema["properties"][field])


def _choices(schema: dict[str, Any]) -> list[str]:
    parts = [schema, *schema.get("anyOf", [])]
    return [str(value) for part in parts for value in part.get("enum", [part["const"]] if "const" in part else [])]


def value_in_words(schema: dict[str, Any]) -> str:
    """The values that a JSON schema allows, in words: "an integer from 1 to 1024", "mean or max"."""
    parts = [part for part in schema.get("anyOf", []) if part.get("type") != "null"]
    if parts:
        return ", or ".join(map(value_in_words, parts))
    choices = _choices(schema)
    if choices:
        return one_of(choices)
    kind = schema.get("type", "")
    noun = "a path" if schema.get("format") == "path" else NOUNS.get(kind, f"a value of type {kind or 'any'}")
    return " ".join([noun, *_limits(schema)])


def _limits(schema: dict[str, Any]) -> list[str]:
    if "minimum" in schema and "maximum" in schema:
        limits = [f"from {_number(schema['minimum'])} to {_number(schema['maximum'])}"]
    else:
        phrases = (
            ("minimum", "of at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "of at most" if "exclusiveMinimum" not in schema else "at most"),
            ("exclusiveMaximum", "below"),
        )
        limits = [" and ".join(f"{phrase} {_number(schema[key])}" for key, phrase in phrases if key in schema)]
    if "multipleOf" in schema:
        limits.append(f"that is a multiple of {_number(schema['multipleOf'])}")
    if "pattern" in schema:
        limits.append(f"that matches {schema['pattern']}")
    return [limit for limit in limits if limit]


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
