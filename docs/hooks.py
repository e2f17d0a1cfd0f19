"""Loaded by mkdocs: notebooks are executed without progress bars, which a page would show as hundreds of lines."""

import os

os.environ["TQDM_DISABLE"] = "1"
