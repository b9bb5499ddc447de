"""Making a plan of a stage that reads voxels: for `plan`, and a quick one for `launch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from beam_ingest.cli.planning import Wishes, known_prices, note_on, run_plan
from beam_ingest.cli.temporary import report_folder, temporary_folder
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError, ConfigError, EmptyInputError
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.ingest.job import IngestJob, make_job
from beam_ingest.l2cache.job import L2CacheJob
from beam_ingest.meshes.job import MeshJob
from beam_ingest.plan.bill import Bill
from beam_ingest.plan.estimate import Estimate, estimate
from beam_ingest.plan.findings import PlanFindings
from beam_ingest.plan.l2cache_sample import L2CacheSampler
from beam_ingest.plan.mesh_sample import MeshSampler
from beam_ingest.plan.plan_dataset import PlanJob
from beam_ingest.plan.prepare_sample import PrepareSampler
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.prices import PriceList
from beam_ingest.plan.samplers import VoxelSampler
from beam_ingest.plan.stage_bill import stage_bill
from beam_ingest.plan.stage_estimate import StageEstimate, estimate_stage
from beam_ingest.runners.options import is_local
from beam_ingest.stages.job import StageJob
from beam_ingest.volumes.job import PrepareJob

QUICK_VOXELS = 2_000_000
"""Voxels that are meshed of a plan that is made on the way."""
NOWHERE = "sqlite:none"
"""The store of jobs that are planned alone."""


class StagePlan(NamedTuple):
    """A plan.

    Attributes:
      sampler: what was sampled, and the job that it is for.
      found: the estimate.
      bill: what it takes, and costs.
      present: chunks that have files; None where that is not known.
      cropped: whether only a part of each chunk was looked at.
      note: why no money is shown, if none is.
    """

    sampler: VoxelSampler
    found: StageEstimate
    bill: Bill
    present: int | None
    cropped: bool
    note: str

    @property
    def job(self) -> StageJob:
        """The job that it is for."""
        return self.sampler.job

    @property
    def stage(self) -> str:
        """The stage."""
        return self.job.stage

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        layers = [
            {
                "layer": layer,
                "chunks": each.chunks,
                **{name: each.amounts[name].as_dict() for name in each.amounts if name != "nanoseconds"},
                "vcpu_hours": self.bill.vcpu_hours_by_layer[layer].as_dict(),
                "largest": each.largest.as_dict(),
                "measured": each.measured,
                "memory_bytes": self.bill.worker_memory[layer],
            }
            for layer, each in self.found.layers.items()
        ]
        head = {
            "stage": self.stage,
            "dataset": self.job.dataset.path,
            "grid": self.job.grid.chunks,
            "chunks": self.job.grid.chunk_count(ATOMIC_LAYER),
            "chunks_with_files": self.present,
            "sampled_chunks": self.found.sampled,
            "exact": self.found.exact,
        }
        return head | self.bill.as_dict() | {"layers": layers}


def stage_sampler(
    stage: str, dataset: Dataset, store: str | None, raw: bool, blocks: int
) -> PrepareSampler | L2CacheSampler | MeshSampler:
    """The sample for a stage of a dataset, whose graph need not be there.

    Args:
      stage: ``prepare``, ``l2cache`` or ``mesh``.
      dataset: the dataset file.
      store: place of the job's table, if the dataset file does not name one.
      raw: the graph is one of raw agglomeration.
      blocks: how many blocks of chunks are sampled at the most.

    Raises:
      ConfigError: when the stage could not be run as the dataset file says.
    """
    if stage == PrepareJob.stage:
        return PrepareSampler.of_dataset(dataset, store, blocks)
    inputs = make_job("plan", dataset, store or NOWHERE, raw=raw)
    if stage == MeshJob.stage:
        return MeshSampler.of_dataset(inputs, blocks)
    return L2CacheSampler.of_dataset(inputs, blocks)


def make_stage_plan(
    sampler: VoxelSampler, options: Mapping[str, Any], wishes: Wishes, prices: PriceList | None
) -> StagePlan:
    """Run the plan of a stage to its end.

    Args:
      sampler: of the stage.
      options: options of Apache Beam by name.
      wishes: what is compared.
      prices: what things cost, if that is known.

    Raises:
      BeamIngestError: when files or voxels of the sample cannot be used, or the run fails.
      EmptyInputError: when there is nothing to make anything of.
    """
    with temporary_folder(is_local(options)):
        plan = PlanJob(sampler, report_folder(options, "plan"))  # type: ignore[arg-type]
        findings = run_plan(plan, sampler.job.dataset, options)
    return stage_plan_of(sampler, plan.presence(findings), findings, wishes, prices)


def stage_plan_of(
    sampler: VoxelSampler,
    presence: Presence,
    findings: PlanFindings,
    wishes: Wishes,
    prices: PriceList | None,
) -> StagePlan:
    """The plan that findings amount to.

    Raises:
      EmptyInputError: when there is nothing to make anything of.
    """
    graph: Estimate | None = estimate(presence, findings.samples) if findings.samples else None
    if not any(found.nodes for part in findings.parts for found in part.layers.values()):
        raise EmptyInputError(f"no plan: {sampler.job.dataset.path}: no chunk of the sample has a supervoxel")
    found = estimate_stage(sampler, presence, findings.parts, graph)
    counts = wishes.nodes if sampler.writes_cells else wishes.workers
    made = stage_bill(sampler, found, prices, counts, wishes.machine_type, wishes.hours)
    present = presence.chunks if findings.present else None
    cropped = not all(part.whole for part in findings.parts)
    return StagePlan(sampler, found, made, present, cropped, note_on(prices, wishes))


def quick_stage_plan(job: StageJob, wishes: Wishes) -> StagePlan:
    """A plan of two chunks, made at once and in this process; of meshes, of a part of one block.

    Raises:
      BeamIngestError: when files or voxels of the sample cannot be used or read.
    """
    sampler = _quick_sampler(job)
    presence, findings = Presence.full(job.grid), PlanFindings()
    for region in sampler.choose(presence):
        sampler.measure(region, findings)
    return stage_plan_of(sampler, presence, findings, wishes, known_prices(wishes))


def _quick_sampler(job: StageJob) -> PrepareSampler | L2CacheSampler | MeshSampler:
    if isinstance(job, PrepareJob):
        return PrepareSampler.of(job, 1, 0)
    inputs = _inputs(job)
    if isinstance(job, L2CacheJob):
        return L2CacheSampler.of(job, inputs, 1, 0)
    if isinstance(job, MeshJob):
        return MeshSampler.of(job, inputs, 1, QUICK_VOXELS, 1)
    raise BeamIngestError(f"stage {job.stage} has no plan")


def _inputs(job: StageJob) -> IngestJob:
    """A job that would build the graph that a stage follows."""
    try:
        return make_job("plan", job.dataset, NOWHERE, raw=job.dataset.edges is None)
    except ConfigError as error:
        raise BeamIngestError(str(error)) from None
