"""From ``make run MESH=1`` to a picture, as a new user goes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beam_ingest.cli import main
from tests.test_make import ROOT, make
from tests.view.browser import Window, objects_in_light, running_browser, viewing_by
from tests.view.screenshot import take

README_PICTURE = ROOT / "docs" / "view.png"


@pytest.mark.slow
@pytest.mark.external
def test_make_run_and_make_view_end_in_a_picture_of_meshes(tmp_path: Path) -> None:
    """Of a smaller sample than theirs, which make finds there."""
    sample = tmp_path / "sample"
    assert main(["sample", str(sample), "--chunks", "2", "2", "1", "--chunk-size", "48", "48", "48"]) == 0
    done = make(tmp_path, "run", "MESH=1")
    assert done.returncode == 0, done.stderr
    assert "meshed graph sample_graph" in done.stdout
    command = ["make", "--no-print-directory", f"--file={ROOT / 'Makefile'}", f"VENV={sys.prefix}"]
    command += ["-o", "install", "view", "ARGS=--no-browser"]
    with running_browser() as browser, viewing_by(command, tmp_path) as link:
        window = Window(browser, 800, 500)
        take(window, link, tmp_path / "seen.png")
        assert window.errors == []
    assert (tmp_path / "seen.png").stat().st_size > 0


def test_the_picture_of_the_readme_shows_meshes() -> None:
    """Its right half: there are no sections in that panel."""
    assert "](docs/view.png)" in (ROOT / "README.md").read_text()
    pixels = np.asarray(Image.open(README_PICTURE).convert("RGB"))
    assert objects_in_light(pixels[40:, 410:810]) >= 4
