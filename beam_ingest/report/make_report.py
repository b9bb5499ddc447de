"""Making a report: facts, pictures, and the files that they are written to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from beam_ingest.errors import BeamIngestError, FileError
from beam_ingest.files import first_line
from beam_ingest.reader import GraphReader
from beam_ingest.report import pictures
from beam_ingest.report.facts import Facts
from beam_ingest.report.voxels import read_sections
from beam_ingest.stores import open_store


def draw(facts: Facts, place: str) -> tuple[dict[str, bytes], str]:
    """The pictures of a graph, by name.

    Args:
      facts: what is known of it.
      place: URL of its store.

    Returns:
      PNG files, and why there are no sections, or "".

    Raises:
      StoreError: when the graph cannot be read.
    """
    drawn = {
        "supervoxels": pictures.histogram(facts.objects.supervoxels, "supervoxels"),
        "time": pictures.time_by_layer(facts.layers),
    }
    if facts.voxels is not None:
        drawn["voxels"] = pictures.histogram(facts.voxels.voxels, "voxels")
    if facts.unread:
        return drawn, facts.unread
    try:
        with open_store(place) as store:
            sections = read_sections(GraphReader(store, facts.grid, facts.dataset), facts.dataset)
    except ImportError as error:
        return drawn, f"the package {error.name} is not installed"
    except BeamIngestError as error:
        return drawn, first_line(error)
    drawn["slice"] = pictures.beside(sections[0], facts.objects.roots)
    drawn["orthogonal"] = pictures.orthogonal(sections, facts.objects.roots)
    return drawn, ""


def write_file(path: str | Path, content: bytes) -> None:
    """Write a file whole: a reader never sees half of it, and a failure leaves what was there.

    Raises:
      FileError: when it cannot be written.
    """
    place = Path(path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{place.name}.", delete=False) as part:
            try:
                part.write(content)
                part.close()
                mask = os.umask(0)
                os.umask(mask)
                os.chmod(part.name, 0o666 & ~mask)
                os.replace(part.name, place)
            except BaseException:
                os.unlink(part.name)
                raise
    except OSError as error:
        raise FileError(f"{place}: cannot be written: {error.strerror or error}") from None
