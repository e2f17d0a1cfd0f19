"""Draw docs/images/report.png, the first screen of a report: `python docs/screenshot.py`. It needs Chromium.

The picture names the templates that it was drawn from; a test fails if they have changed since.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
TEMPLATES = ROOT / "equidiff" / "analysis" / "report" / "templates"
PICTURE = ROOT / "docs" / "images" / "report.png"
COMMANDS = (
    "equidiff run --samples 64 --out garments",
    "equidiff evaluate garments --features fashion",
    "equidiff report garments",
)
WIDTH, HEIGHT = 1440, 900


def fingerprint() -> str:
    """A hash of the templates of the report."""
    content = b"".join(file.name.encode() + file.read_bytes() for file in sorted(TEMPLATES.iterdir()))
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Make a run and its report, and take a picture of it."""
    with TemporaryDirectory() as folder:
        for command in COMMANDS:
            print(command)
            subprocess.run(command.split(), cwd=folder, check=True)
        page = Path(folder) / "garments" / "report.html"
        shot = Path(folder) / "report.png"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            window = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            window.goto(page.as_uri())
            window.screenshot(path=shot)
            browser.close()
        about = PngInfo()
        about.add_text("templates", fingerprint())
        Image.open(shot).convert("RGB").save(PICTURE, pnginfo=about, optimize=True)
    print(PICTURE)


if __name__ == "__main__":
    main()
