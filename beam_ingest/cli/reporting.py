"""Running a pipeline that writes a report, and reading the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from beam_ingest.cli.engine import engine
from beam_ingest.cli.log import logged
from beam_ingest.cli.steps import StepsDisplay
from beam_ingest.errors import RunError
from beam_ingest.runners.options import is_local
from beam_ingest.runners.pipeline import run_pipeline
from beam_ingest.runners.reasons import reason
from beam_ingest.stages.report import SomeFindings, read_report


def run_for_report(
    label: str,
    transform: beam.PTransform,
    kind: type[SomeFindings],
    folder: str,
    options: Mapping[str, Any],
    totals: Mapping[int, int | None],
) -> SomeFindings:
    """Run a transform to its end; returns the findings that it reported.

    Args:
      label: of the transform: a verb, and what it is done to.
      transform: applied to the empty pipeline.
      kind: class of the findings.
      folder: URL of the folder that the report is written to.
      options: options of Apache Beam by name.
      totals: chunks of each layer, for the progress; None if that is not known.

    Raises:
      BeamIngestError: when the run fails, or ends without a report.
    """

    def build(pipeline: beam.Pipeline) -> None:
        pipeline | label >> transform

    display = StepsDisplay(folder, totals)
    with engine(options) as given, logged():
        try:
            with display:
                run_pipeline(build, given, display.update)
        except Exception as error:
            known = reason(error)
            if known is error and not is_local(given):  # the runner's own page or log says more
                known = RunError(f"{label}: the run failed: {' '.join(str(error).split())}")
            raise known from error
        return read_report(kind, folder)
