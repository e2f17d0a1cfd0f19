"""Python's side of EquiDiff: `sample`, `load`, and a set with the analyses of finished runs as methods."""

import warnings
from importlib import import_module

# here, because the first import of it, by whichever package, says in a notebook that ipywidgets is missing: bars are
# text then, and nobody needs to do anything about it
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import_module("tqdm.auto")
