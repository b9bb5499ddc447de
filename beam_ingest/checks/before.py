"""What can be checked without opening any input file: configuration, watershed, rights, region."""

from __future__ import annotations

import os
from pathlib import Path

from beam_ingest.checks.findings import CONFIGURATION, Case, Findings
from beam_ingest.checks.regions import bucket_location, is_within
from beam_ingest.checks.volumes import unprepared, volumes_faults
from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, StoreError
from beam_ingest.files import FileError, local_path
from beam_ingest.ingest.job import IngestJob
from beam_ingest.inputs.watershed import chunk_grid, read_watershed
from beam_ingest.stores import store_url
from beam_ingest.stores.access import READING, folder_fault, store_access
from beam_ingest.stores.identity import who
from beam_ingest.stores.routing import read_routing

PERMISSIONS = "missing permissions"
ROUTING = "routing of requests"
REGIONS = "inputs and table in different regions"
_GRAPH_ID = "check"
"""Stands for the name of the graph, which does not matter here."""


def configured_job(
    dataset: Dataset, raw: bool, store: str | None, findings: Findings, app_profile: str = ""
) -> IngestJob | None:
    """The job that would build the graph; None when the configuration allows none.

    Args:
      dataset: the dataset file.
      raw: whether raw agglomeration is read.
      store: ``--store``.
      findings: where everything that is wrong goes.
      app_profile: ``--bigtable-app-profile``.
    """
    wanting = None if raw else unprepared(dataset)
    faults = dataset.missing_keys(raw) + ([wanting] if wanting else dataset.missing_folders(raw))
    if dataset.volumes is not None and not raw:
        faults += volumes_faults(dataset, findings)
    place, grid, resolution = "", None, (1.0, 1.0, 1.0)
    try:
        place = store_url(dataset, _GRAPH_ID, store, app_profile)
    except ConfigError as error:
        faults.append(str(error))
    try:
        watershed = read_watershed(dataset.watershed)
        resolution = watershed.resolution
        grid = chunk_grid(dataset, watershed)
    except (ConfigError, FileError) as error:
        if wanting is None:  # or it is said already
            faults.append(str(error))
    if raw and not dataset.edges:
        findings.note("no data_source.EDGES: servers find no edges there, and cannot split")
    findings.problem(CONFIGURATION, *(Case(line, dataset.path) for line in faults), count=len(faults))
    if grid is None or dataset.missing_keys(raw):
        return None
    return IngestJob(_GRAPH_ID, dataset, grid, resolution, place, raw=raw)


def check_rights(job: IngestJob, findings: Findings, worker: str | None = None) -> None:
    """Whether the table, and with raw input the files made of it, can be written.

    Args:
      job: the job that would build the graph.
      findings: where what is found goes.
      worker: the account that jobs run as which are launched from here; None when we build ourselves.
    """
    if job.store:
        _check_store(job.store, findings, worker)
    source = job.dataset
    for key, url in (("EDGES", source.edges), ("COMPONENTS", source.components)):
        if not job.raw or url is None:
            continue
        path = local_path(url)
        if path is None:
            findings.unchecked.add(f"{url}: whether {key} can be written there")
            continue
        fault = folder_fault(Path(path))
        if fault:
            findings.problem(PERMISSIONS, Case(fault))


def _check_store(store: str, findings: Findings, worker: str | None) -> None:
    access = store_access(store)
    account = "the account of the application default credentials"
    if store.startswith("bigtable:") and not os.environ.get("BIGTABLE_EMULATOR_HOST"):
        account = who() or account
    needed = access
    if worker is not None and worker != account and not access.unknown and not access.faults:
        needed = access._replace(permissions=tuple(name for name in access.permissions if name in READING))
        others = [name for name in access.permissions if name not in READING]
        if others:
            findings.note(
                f"{access.place}: {account} lacks {', '.join(others)}: only builds from here need it"
            )
        findings.unchecked.add(
            f"{access.place}: permissions of {worker}, which builds launched graphs: only it can ask"
        )
    faults = [*access.faults, *needed.lines(account)]
    findings.problem(PERMISSIONS, *map(Case, faults), count=len(faults))
    routing = read_routing(store)
    findings.problem(ROUTING, *([Case(routing.fault)] if routing.fault else []), count=bool(routing.fault))
    findings.unchecked.update({access.unknown, routing.unknown} - {""})


def check_regions(job: IngestJob, region: str | None, findings: Findings) -> None:
    """Whether the buckets of the inputs, and workers, are where a Bigtable cluster is.

    Args:
      job: the job that would build the graph.
      region: where its workers will be, if that is known.
      findings: where what is found goes.
    """
    if not job.store.startswith("bigtable:"):
        return
    from beam_ingest.stores.clusters import read_clusters

    project, instance, *_ = job.store.removeprefix("bigtable:").split("/")
    where = f"bigtable:{project}/{instance}"
    try:
        regions = sorted({cluster.region for cluster in read_clusters(project, instance)})
    except StoreError as error:
        findings.unchecked.add(f"{where}: region: {error}")
        return
    if not regions:
        findings.unchecked.add(f"{where}: region: the emulator has none")
        return
    there = ", ".join(regions)
    if region and region not in regions:
        line = f"--region {region}: expected one with a cluster of {where}, found clusters in {there}"
        findings.problem(REGIONS, Case(line))
    source = job.dataset
    urls = [source.agglomeration] if job.raw else [source.edges, source.components]
    buckets = {url.split("/")[2] for url in urls if url and url.startswith("gs://")}
    for bucket in sorted(buckets):
        try:
            location = bucket_location(project, bucket)
        except FileError as error:
            findings.unchecked.add(f"gs://{bucket}: region: {error}")
            continue
        if not any(is_within(each, location) for each in regions):
            line = f"gs://{bucket}: expected a bucket in {there}, as {where} is, found one in {location}"
            findings.problem(REGIONS, Case(line, f"gs://{bucket}", "", there, location))
