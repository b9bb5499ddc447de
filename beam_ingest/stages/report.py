"""The report of a run: the findings of all chunks, merged and written to a file for the command."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import apache_beam as beam

from beam_ingest.errors import BeamIngestError
from beam_ingest.files import Folder
from beam_ingest.stages.findings import Findings
from beam_ingest.stages.typed import merging

_FILE = "findings.json"
SomeFindings = TypeVar("SomeFindings", bound=Findings[Any])


class WriteReport(beam.PTransform):  # type: ignore[misc]
    """Merge encoded findings, and write them to the report's folder.

    Args:
      kind: class of the findings.
      folder: URL of the folder.
      conclude: adds what only the whole can tell.
    """

    def __init__(
        self,
        kind: type[SomeFindings],
        folder: str,
        conclude: Callable[[SomeFindings], object] = lambda findings: None,
    ) -> None:
        super().__init__()
        self._kind = kind
        self._folder = folder
        self._conclude = conclude

    def expand(self, parts: Iterable[beam.PCollection]) -> beam.PCollection:
        """Apply the transform to PCollections of encoded findings; gives those of the whole."""
        kind, folder, conclude = self._kind, self._folder, self._conclude

        def merge(encoded: Iterable[bytes]) -> bytes:
            whole = kind()
            for part in encoded:
                whole.merge(kind.decode(part))
            return whole.encode()

        def write(encoded: bytes) -> bytes:
            whole = kind.decode(encoded)
            conclude(whole)
            Folder(folder).write({_FILE: whole.encode()})
            return encoded

        return (
            parts
            | "All" >> beam.Flatten()
            | "Merge" >> merging(merge, bytes)
            | "Write" >> beam.Map(write).with_output_types(bytes)
        )


def read_report(kind: type[SomeFindings], folder: str) -> SomeFindings:
    """The findings that `WriteReport` wrote.

    Raises:
      BeamIngestError: when there are none.
      FileError: when they cannot be read.
    """
    (content,) = Folder(folder).read([_FILE])
    if content is None:
        raise BeamIngestError(f"{folder}: the run ended without a report; run it again")
    return kind.decode(content)
