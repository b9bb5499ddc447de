"""A real browser without a screen: Chromium, with its software renderer for WebGL."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = (
    "--no-sandbox",  # root has none in a container
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
_DEADLINE_SECONDS = 90.0


def find_browser() -> str | None:
    """The system's Chromium, or None."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """The system's Chromium; skips the test, saying how to get one, when there is none."""
    program = find_browser()
    if program is None:
        reason = "no Chromium is on the PATH: install it from your package manager (apt: chromium)"
        warnings.warn(pytest.PytestWarning(reason), stacklevel=2)  # a skip alone is easily overlooked
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        yield browser
        browser.close()


class Window:
    """A page of the browser, and what goes wrong on it.

    Attributes:
      errors: errors of its console, of its scripts, and requests that were answered with errors.
    """

    def __init__(self, browser: Browser, width: int, height: int) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": height})
        self.errors: list[str] = []
        self.page.on("console", self._heed)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _heed(self, message: ConsoleMessage) -> None:
        # Neuroglancer's server has no icon for tabs.
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self.errors.append(f"{message.text} ({message.location['url']})")

    def pixels(self) -> npt.NDArray[np.uint8]:
        """What is seen, shape (height, width, 3)."""
        return np.asarray(Image.open(BytesIO(self.page.screenshot())).convert("RGB"))

    def until(self, seen: Callable[[], bool], what: str) -> None:
        """Look again and again until it is there; fails after a minute and a half."""
        give_up = time.monotonic() + _DEADLINE_SECONDS
        while not seen():
            assert time.monotonic() < give_up, f"{what}: not seen; errors: {self.errors}"
            self.page.wait_for_timeout(100)
