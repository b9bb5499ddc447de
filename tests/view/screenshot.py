"""Takes the README's picture: what a person sees who types ``make run MESH=1 && make view``.

    python -m tests.view.screenshot DATASET.yml OUT.png

It needs the sample's graph with meshes, Chromium and the extra `test`; ``make screenshot`` has all of them.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from beam_ingest.view.palette import OBJECTS
from tests.view.browser import Window, find_browser, objects_in_light, running_browser, viewing_by

_SIZE = (1120, 700)
_PAUSE_MILLISECONDS = 5000
_COLOURS = 192
_FEWEST_OBJECTS = 4


def main() -> int:
    """Take it; returns the exit status."""
    dataset, out = sys.argv[1:]
    if find_browser() is None:
        print("no Chromium is on the PATH: install it from your package manager", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", "beam_ingest", "view", "sample_graph", dataset, "--no-browser"]
    with viewing_by(command) as link, running_browser() as browser:
        take(Window(browser, *_SIZE), link, Path(out))
    print(f"wrote {out}: {Path(out).stat().st_size / 1000:,.0f} kB")
    return 0


def take(window: Window, link: str, out: Path) -> None:
    """Take it when sections and meshes are there."""
    window.page.goto(link)
    window.page.mouse.move(5, 5)
    panels = window.page.locator(".neuroglancer-rendered-data-panel")
    window.until(lambda: panels.count() == 2, "a section beside meshes")
    window.until(lambda: _is_finished(window), "a picture that no longer changes")
    picture = Image.open(BytesIO(window.page.screenshot())).convert("RGB")
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(out, optimize=True)


def _is_finished(window: Window) -> bool:
    """Whether several objects are seen in the section and as meshes, and nothing has changed for a while."""
    section, meshes = window.panel(0), window.panel(1)
    seen = {tuple(colour) for colour in section.reshape(-1, 3)[::7].tolist()}
    if sum(tuple(bytes.fromhex(colour[1:])) in seen for colour in OBJECTS) < _FEWEST_OBJECTS:
        return False
    if objects_in_light(meshes) < _FEWEST_OBJECTS:
        return False
    window.page.wait_for_timeout(_PAUSE_MILLISECONDS)
    return bool(np.array_equal(section, window.panel(0)) and np.array_equal(meshes, window.panel(1)))


if __name__ == "__main__":
    sys.exit(main())
