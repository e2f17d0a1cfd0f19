"""Classes, found by index or by any of their names."""

from __future__ import annotations

from collections import Counter

from equidiff.errors import UnknownNameError, unknown_name
from equidiff.networks.network import Network


def find_class(network: Network, text: str, count: int) -> int:
    """Find the index of a class.

    Args:
        network: the network that has the class.
        text: an index, or a name in any case, with blanks, hyphens or underscores between words.
        count: number of classes.

    Raises:
        UnknownNameError: no class has that name, or several have.
    """
    if text.isdecimal():
        if int(text) >= count:
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
    wanted = fold(text)
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


def imagenet_names(subset: str) -> tuple[tuple[str, ...], ...]:
    """Names of each class of an ImageNet subset of timm: its lemmas and its synset, an unambiguous name first."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo(subset)
    described = info.label_descriptions(as_dict=True)
    names = [(*map(fold, described[synset].split(",")), synset) for synset in info.label_names()]
    # dict.fromkeys: "Cardigan, Cardigan" is one name of one class, not two
    counts = Counter(name for own in names for name in dict.fromkeys(own))
    return tuple(tuple(sorted(dict.fromkeys(own), key=lambda name: counts[name] > 1)) for own in names)
