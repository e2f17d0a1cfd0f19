"""Loaded by mkdocs: notebooks are executed without progress bars, links to sounds become players, references whole."""

import os
import re
import runpy
from pathlib import Path
from typing import Any

os.environ["TQDM_DISABLE"] = "1"  # a page would show progress bars as hundreds of lines

SOUND = re.compile(r'<a href="([^"]+\.wav)">(.*?)</a>')
WITH_DIRECTIVES = runpy.run_path(str(Path(__file__).with_name("filling.py")))["with_directives"]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page whose short references, which are for code hosts, give way to those that mkdocs writes."""
    return WITH_DIRECTIVES(markdown)


def on_page_content(html: str, **_: Any) -> str:
    """A player in place of each link to a WAV file, which is all that a code host shows."""
    return SOUND.sub(r'<span class="sound"><audio controls preload="none" src="\1"></audio> \2</span>', html)
