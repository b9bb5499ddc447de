"""A plan as one transform: names are listed, and a sample of regions is built without writing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam

from beam_ingest.checks.findings import Case
from beam_ingest.checks.listing import list_part, parts
from beam_ingest.errors import InputError
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.plan.findings import PlanFindings
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.regions import Region
from beam_ingest.plan.samplers import Sampler, listed_kind, presence_of
from beam_ingest.stages.report import WriteReport
from beam_ingest.stages.ticks import add_done
from beam_ingest.stages.typed import merging

SAMPLE = 64
"""Blocks that are built by default: less than a minute on a laptop."""
UNUSABLE = "files that cannot be right"


@dataclass(frozen=True)
class PlanJob:
    """One plan; travels to the workers with every transform.

    Attributes:
      sampler: chooses what is built, and measures it.
      report: URL of the folder that the findings go to.
    """

    sampler: Sampler
    report: str

    def presence(self, findings: PlanFindings) -> Presence:
        """The chunks that hold anything, by what was listed."""
        return presence_of(self.sampler, findings)


class PlanDataset(beam.PTransform):  # type: ignore[misc]
    """List the input files, choose regions among the chunks that have some, build and count.

    The findings go to the job's report folder (`beam_ingest.stages.report.read_report`).

    Args:
      job: the plan.
    """

    def __init__(self, job: PlanJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline; gives the encoded findings."""
        job = self._job
        listed = (
            begin
            | "Start" >> beam.Impulse()
            | "Parts" >> beam.FlatMap(_parts, job).with_output_types(str)
            | "Spread parts" >> beam.Reshuffle()
            | "List" >> beam.Map(_list, job).with_output_types(bytes)
        )
        whole = listed | "All names" >> merging(_merge, bytes)
        measured = (
            begin
            | "Then" >> beam.Impulse()
            | "Choose" >> beam.FlatMap(_choose, job, beam.pvalue.AsSingleton(whole)).with_output_types(bytes)
            | "Spread regions" >> beam.Reshuffle()
            | "Measure" >> beam.Map(_measure, job).with_output_types(bytes)
        )
        return (listed, measured) | "Report" >> WriteReport(PlanFindings, job.report)


def _parts(_: bytes, job: PlanJob) -> Iterator[str]:
    kind = listed_kind(job.sampler)
    yield from [""] if kind is None else parts(kind.folder, job.sampler.grid)


def _list(part: str, job: PlanJob) -> bytes:
    """Names of one kind of files: the one that each chunk with supervoxels has."""
    findings, kind = PlanFindings(), listed_kind(job.sampler)
    if kind is not None:
        (there,) = list_part([kind], part, findings)
        if there is not None:
            findings.list(part, there)
    return findings.encode()


def _merge(encoded: Iterable[bytes]) -> bytes:
    whole = PlanFindings()
    for each in encoded:
        whole.merge(PlanFindings.decode(each))
    return whole.encode()


def _choose(_: bytes, job: PlanJob, listed: bytes) -> Iterator[bytes]:
    for layer, coords in job.sampler.choose(job.presence(PlanFindings.decode(listed))):
        yield " ".join(map(str, (layer, *coords))).encode()


def _measure(name: bytes, job: PlanJob) -> bytes:
    layer, x, y, z = map(int, name.split())
    findings = PlanFindings()
    try:
        done = job.sampler.measure(Region(layer, (x, y, z)), findings)
    except InputError as error:
        findings = PlanFindings()
        cases = [Case.of(each) for each in (error, *error.others)]
        findings.problem(UNUSABLE, *cases, count=len(cases))
        return findings.encode()
    add_done(job.report, ATOMIC_LAYER, done)
    return findings.encode()
