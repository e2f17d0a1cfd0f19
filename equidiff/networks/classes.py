"""Classes, found by index or by any of their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from equidiff.errors import UnknownNameError, UsageError, unknown_name
from equidiff.networks.network import Network


def find_class(network: Network, label: str | int, count: int) -> int:
    """Find the index of a class.

    Args:
        network: the network that has the class.
        label: an index, or a name in any case, with blanks, hyphens or underscores between words. Digits are an index
            unless a class has that name.
        count: number of classes.

    Raises:
        UnknownNameError: no class has that name, or several have.
    """
    text, wanted = str(label), fold(str(label))
    named = isinstance(label, str) and any(wanted in names for names in network.names or ())
    if not named and text.removeprefix("-").isdecimal():
        if not 0 <= int(text) < count:
            raise UnknownNameError(
                f"{network.name} has no class {text}.", given=text, expected=f"an index from 0 to {count - 1}"
            )
        return int(text)
    if network.names is None:
        raise UnknownNameError(
            f"The names of the {count} classes of {network.name} are not known.",
            given=text,
            expected=f"an index from 0 to {count - 1}",
        )
    hits = [index for index, names in enumerate(network.names) if wanted in names]
    if not hits:
        raise unknown_name("class", text, (name for names in network.names for name in names))
    if len(hits) > 1:
        candidates = "; ".join(f"{index} ({', '.join(network.names[index])})" for index in hits)
        raise UnknownNameError(f"{len(hits)} classes are named {text!r}.", given=text, expected=f"one of {candidates}")
    return hits[0]


def fold(name: str) -> str:
    """Convert a name to the form that is compared and shown: lower case, with hyphens between words."""
    return "-".join(name.casefold().replace("_", " ").replace("-", " ").split())


def class_names(classes: Sequence[str] | Mapping[int, str]) -> tuple[tuple[str, ...], ...]:
    """Names of each class by which `find_class` finds it, from one text each.

    The first is the text itself, with the index where several classes have the same. A text with commas, as in
    ImageNet's "tench, Tinca tinca", is several names.

    Args:
        classes: in order, or by index.

    Raises:
        UsageError: these are not names.
    """
    named = isinstance(classes, Mapping)
    texts: list[str] = []
    with suppress(KeyError, TypeError):
        texts = [classes[index] for index in range(len(classes))]
    if isinstance(classes, str) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise UsageError(
            "These are not the names of classes.",
            given=f"{type(classes).__name__}: {str(classes)[:40]}",
            expected=f"a text for each class{', by its index from 0' if named else ', in the order of the outputs'}",
        )
    counts = Counter(texts)
    shown = [text if counts[text] == 1 else f"{text} ({index})" for index, text in enumerate(texts)]
    return tuple(
        tuple(dict.fromkeys((first, fold(text), *map(fold, text.split(",")))))
        for first, text in zip(shown, texts, strict=True)
    )


def imagenet_names(subset: str) -> tuple[tuple[str, ...], ...]:
    """Names of each class of an ImageNet subset of timm: its lemmas and its synset, an unambiguous name first."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo(subset)
    described = info.label_descriptions(as_dict=True)
    names = [(*map(fold, described[synset].split(",")), synset) for synset in info.label_names()]
    # dict.fromkeys: "Cardigan, Cardigan" is one name of one class, not two
    counts = Counter(name for own in names for name in dict.fromkeys(own))
    return tuple(tuple(sorted(dict.fromkeys(own), key=lambda name: counts[name] > 1)) for own in names)
