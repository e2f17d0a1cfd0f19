"""Chromium for tests of pages: what a page asks for, and the errors in it, are seen."""

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
NEEDS_CHROMIUM = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: apt-get install chromium"),
    pytest.mark.enable_socket,  # playwright talks to the browser through an event loop, which needs socket pairs
]
PHONE = {"width": 390, "height": 844}


class opened:
    """A page that may request nothing but itself, and may cause no error."""

    def __init__(self, browser, report, anchor="", **how):
        self.context = browser.new_context(**how)
        self.page = self.context.new_page()
        self.asked, self.errors = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text))
        self.page.on("dialog", lambda dialog: (self.errors.append(dialog.message), dialog.dismiss()))
        self.address = report.as_uri()
        self.page.goto(self.address + anchor)

    def __enter__(self):
        return self.page

    def __exit__(self, *_):
        self.context.close()
        assert self.errors == []
        asked = [url.partition("#")[0] for url in self.asked]
        assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [self.address]
