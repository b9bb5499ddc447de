"""No element of any pipeline, and no sum on its way, is pickled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import Coder
from apache_beam.coders.coders import CloudpickleCoder, DillCoder, FastPrimitivesCoder, PickleCoder
from apache_beam.portability.api import beam_runner_api_pb2

from beam_ingest.checks.check_dataset import CheckDataset
from beam_ingest.checks.check_job import CheckJob
from beam_ingest.dataset import Dataset
from beam_ingest.ingest.job import IngestJob, make_job, start_job
from beam_ingest.ingest.pipeline.ingest_graph import IngestGraph
from beam_ingest.plan.plan_dataset import PlanDataset, PlanJob
from beam_ingest.plan.samplers import GraphSampler
from beam_ingest.stages.planning import PlanBlocks
from beam_ingest.stages.typed import Once
from beam_ingest.verify.verify_graph import VerifyGraph
from beam_ingest.verify.verify_job import make_verify_job
from tests.examples import slow

Payload = beam_runner_api_pb2.CombinePayload
PICKLING = (FastPrimitivesCoder, PickleCoder, DillCoder, CloudpickleCoder)


def parts(coder: Coder) -> Iterator[Coder]:
    yield coder
    for part in coder._get_component_coders() or ():
        yield from parts(part)


def pickled(build: Callable[[beam.Pipeline], object]) -> tuple[list[str], int]:
    """What a pipeline pickles: transforms, their coder; and the number of coders looked at."""
    pipeline = beam.Pipeline()
    build(pipeline)
    described, context = pipeline.to_runner_api(return_context=True)
    transforms = described.components.transforms.values()
    made_by = {
        number: transform.unique_name
        for transform in transforms
        if not transform.subtransforms
        for number in transform.outputs.values()
    }
    coders = [
        (made_by.get(number, number), collection.coder_id)
        for number, collection in described.components.pcollections.items()
    ]
    coders += [
        (
            transform.unique_name,
            beam_runner_api_pb2.CombinePayload.FromString(transform.spec.payload).accumulator_coder_id,
        )
        for transform in transforms
        if transform.spec.urn.startswith("beam:transform:combine")
    ]
    found = [(name, context.coders.get_by_id(number)) for name, number in coders]
    bad = [f"{name}: {coder}" for name, coder in found if any(isinstance(p, PICKLING) for p in parts(coder))]
    return bad, len(found)


def job(sample: Path, raw: bool, test: bool = False) -> IngestJob:
    place = f"sqlite:{sample.parent / 'graph.sqlite'}"
    return start_job(make_job("g", Dataset.from_file(sample), place, raw=raw, test=test), overwrite=True)


@pytest.mark.parametrize("raw", [False, slow(True)], ids=["proto", "raw"])
def test_nothing_is_pickled(sample: Path, raw: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_ingest.stages.planning.PER_SLAB", 1)  # as large grids are spread
    begun = job(sample, raw)
    verification = make_verify_job("g", begun.dataset, begun.store, "file:///report")
    for build in (
        lambda pipeline: pipeline | IngestGraph(begun),
        lambda pipeline: pipeline | CheckDataset(CheckJob(begun, None, "file:///report")),
        lambda pipeline: pipeline | CheckDataset(CheckJob(begun, 3, "file:///report")),
        lambda pipeline: pipeline | VerifyGraph(verification),
        lambda pipeline: pipeline | PlanDataset(PlanJob(GraphSampler(begun, 3), "file:///report")),
    ):
        bad, count = pickled(build)
        assert bad == []
        assert count > 15
    bad, _ = pickled(lambda pipeline: pipeline | IngestGraph(job(sample, raw, test=True)))
    assert bad == []


def test_pickling_is_noticed(sample: Path) -> None:
    def plain_sum(pipeline: beam.Pipeline) -> None:
        sizes = pipeline | PlanBlocks(job(sample, raw=False).scope) | "Sizes" >> beam.Map(_anything)
        sizes | beam.CombineGlobally(sum).without_defaults()

    bad, _ = pickled(plain_sum)
    assert any(line.startswith("Sizes") for line in bad), bad
    assert any("CombinePerKey" in line for line in bad), bad


def _anything(key: bytes) -> Any:
    return len(key)


def test_once() -> None:
    with beam.Pipeline(runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner") as pipeline:
        found = pipeline | beam.Create([b"b", b"a", b"b", b""]) | Once()
        found | beam.combiners.ToList() | beam.Map(lambda every: _expect(sorted(every)))


def _expect(found: list[bytes]) -> None:
    assert found == [b"", b"a", b"b"]
