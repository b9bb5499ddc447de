"""Takes the README's picture: what a person sees who types ``make run && make view``.

    python -m tests.view.screenshot DATASET.yml OUT.png

It needs the sample's graph, Chromium and the extra `test`; ``make screenshot`` has both.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from beam_ingest.view.palette import OBJECTS
from tests.view.browser import Window, find_browser, running_browser

_SIZE = (1120, 700)
_PAUSE_MILLISECONDS = 1500
_COLOURS = 192
_FEWEST_OBJECTS = 4


def main() -> int:
    """Take it; returns the exit status."""
    dataset, out = sys.argv[1:]
    if find_browser() is None:
        print("no Chromium is on the PATH: install it from your package manager", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", "beam_ingest", "view", "sample_graph", dataset, "--no-browser"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        running_browser() as browser,
    ):
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        if not link:
            return process.wait()
        window = Window(browser, *_SIZE)
        window.page.goto(link)
        window.until(lambda: _is_finished(window), "a picture that no longer changes")
        window.page.mouse.move(5, 5)
        picture = Image.open(BytesIO(window.page.screenshot())).convert("RGB")
        picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(out, optimize=True)
        process.send_signal(signal.SIGINT)
    print(f"wrote {out}: {Path(out).stat().st_size / 1000:,.0f} kB")
    return 0


def _is_finished(window: Window) -> bool:
    """Whether several objects are seen, and nothing has changed for a while."""
    before = window.pixels()
    seen = {tuple(colour) for colour in before.reshape(-1, 3)[::7].tolist()}
    if sum(tuple(bytes.fromhex(colour[1:])) in seen for colour in OBJECTS) < _FEWEST_OBJECTS:
        return False
    window.page.wait_for_timeout(_PAUSE_MILLISECONDS)
    return bool(np.array_equal(before, window.pixels()))


if __name__ == "__main__":
    sys.exit(main())
