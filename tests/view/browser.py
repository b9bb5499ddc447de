"""A real browser without a screen: Chromium, with its software renderer for WebGL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from beam_ingest.view.palette import OBJECTS

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = (
    "--no-sandbox",  # root has none in a container
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
_DEADLINE_SECONDS = 90.0
_FEWEST_PIXELS = 50
"""Of an object: lines and letters of other colours have fewer that look like it."""


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


@contextmanager
def viewing_by(command: list[str], folder: Path | None = None) -> Iterator[str]:
    """The link that a command which runs ``beam-ingest view`` prints; it is ended afterwards.

    Args:
      command: the command.
      folder: where it is run.

    Raises:
      RuntimeError: when it prints no link.
    """
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            link = process.stdout.readline().strip()
            if not link:
                raise RuntimeError(f"{command}: printed no link, and ended with status {process.wait()}")
            yield link
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


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

    def panel(self, number: int) -> npt.NDArray[np.uint8]:
        """What is seen in one of Neuroglancer's panels, from left to right and down."""
        box = self.page.locator(".neuroglancer-rendered-data-panel").nth(number).bounding_box()
        assert box is not None
        x, y, width, height = (int(box[key]) for key in ("x", "y", "width", "height"))
        return self.pixels()[y : y + height, x : x + width]

    def until(self, seen: Callable[[], bool], what: str) -> None:
        """Look again and again until it is there; fails after a minute and a half."""
        give_up = time.monotonic() + _DEADLINE_SECONDS
        while not seen():
            assert time.monotonic() < give_up, f"{what}: not seen; errors: {self.errors}"
            self.page.wait_for_timeout(100)


def objects_in_light(pixels: npt.NDArray[np.uint8]) -> int:
    """How many of the first objects' colours are seen on surfaces, however dark, in a panel of meshes."""
    seen = 0
    for colour in OBJECTS:
        direction = np.array(list(bytes.fromhex(colour[1:])), float)
        direction /= np.linalg.norm(direction)
        brightness = pixels.astype(float) @ direction
        off = np.linalg.norm(pixels - brightness[..., None] * direction, axis=-1)
        seen += int(((brightness > 40) & (off < 2 + 0.02 * brightness)).sum()) > _FEWEST_PIXELS
    return seen
