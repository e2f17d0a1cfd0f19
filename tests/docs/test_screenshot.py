"""The picture of a report in the docs shows the report as it is."""

import runpy
from pathlib import Path

from PIL import Image

SCREENSHOT = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "screenshot.py"))


def test_the_picture_of_the_report_is_fresh():
    with Image.open(SCREENSHOT["PICTURE"]) as image:
        drawn_from = image.info.get("templates")
    assert drawn_from == SCREENSHOT["fingerprint"](), "run: python docs/screenshot.py"


def test_the_page_in_the_docs_names_the_commands():
    page = (SCREENSHOT["ROOT"] / "docs" / "how-to" / "report.md").read_text()
    for command in SCREENSHOT["COMMANDS"]:
        assert command.replace(" garments", " runs/garments") in page
