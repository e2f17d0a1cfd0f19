"""Names of timm's models: those of today, and older ones that timm still maps to them."""

from __future__ import annotations

from equidiff.errors import unknown_name


def current_name(name: str) -> str:
    """Today's name of a timm model, with the weights that an older name stood for.

    Args:
        name: a timm name, possibly an older one: "swsl_resnet18" is "resnet18.fb_swsl_ig1b_ft_in1k" today. As in timm,
            a tag that is given goes before the one that the older name implies.
    """
    import timm

    architecture, dot, tag = name.partition(".")
    current = timm.models.get_deprecated_models().get(architecture)
    if current is None:
        return name
    return f"{current.partition('.')[0]}.{tag}" if dot else str(current)


def is_timm_name(name: str) -> bool:
    """Tell if timm has an architecture of this name, today's or an older one."""
    import timm

    return bool(timm.is_model(name))


def check_name(name: str) -> str:
    """Today's name of a timm model; see `current_name`.

    Raises:
        UnknownNameError: there is no such model, or no such set of weights.
    """
    import timm

    if not is_timm_name(name):
        known = ["fashion", "circles", *timm.list_models(), *timm.models.get_deprecated_models()]
        raise unknown_name("network", name, known, hint="model=fashion, model=circles, or the name of a timm model")
    current = current_name(name)
    architecture, dot, _ = current.partition(".")
    tags = timm.list_models(f"{architecture}.*", pretrained=True)
    if dot and current not in tags:
        raise unknown_name("set of weights", current, tags or [architecture])
    return current
