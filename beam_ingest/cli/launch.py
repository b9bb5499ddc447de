"""``beam-ingest launch``."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from beam_ingest.cli.arguments import DEFAULT_SETTINGS
from beam_ingest.cli.display import print_submitted
from beam_ingest.cli.graph import confirm_overwrite, job_of
from beam_ingest.cli.template import parameters
from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, StoreError, SubmitError
from beam_ingest.files import Folder
from beam_ingest.ingest.job import IngestJob
from beam_ingest.runners import flex
from beam_ingest.runners.dataflow import check_places, console_url, labels, read_region_clusters
from beam_ingest.runners.settings import Settings
from beam_ingest.stages.failures import summarise
from beam_ingest.stages.manifest import digest
from beam_ingest.stages.removal import refuse_existing
from beam_ingest.stages.start import check_resumable
from beam_ingest.stores.identity import who


def run(arguments: argparse.Namespace) -> int:
    """Launch the flex template, after everything that can be checked here was checked."""
    settings = Settings.from_file(arguments.settings)
    options = arguments.beam
    for name in flex.DECIDED:
        if name in options:
            raise ConfigError(
                f"--{name}: launch takes it from {arguments.settings} and the graph; leave it out"
            )
    dataset = Dataset.from_file(arguments.dataset)
    arguments.store = settings.store_option(dataset, arguments.store)
    job = job_of(arguments, dataset)
    check_places(job)
    _say_who(settings)
    read_region_clusters(job, _region(settings, options), arguments.any_region)
    _check_table(arguments, job)
    arguments.dataset = _upload(job, settings)
    arguments.store = "/".join(job.store.split("/")[:2])
    arguments.yes = arguments.overwrite
    tags = {**settings.labels, **labels(job)}
    job_id = flex.launch(settings, job.store, parameters(arguments), options, tags)
    more = "" if arguments.settings == DEFAULT_SETTINGS else f" --settings={shlex.quote(arguments.settings)}"
    print_submitted(job, settings.project, settings.region, job_id, more)
    if arguments.wait:
        _wait(job, settings, job_id)
    return 0


def _say_who(settings: Settings) -> None:
    """Warn when a person acts with other rights than those that Terraform gave to the launcher."""
    launcher, found = settings.launcher_service_account, who()
    if found is not None and found != launcher:
        print(
            f"note: launching as {found}, with its rights, not as {launcher}; "
            f"`gcloud auth application-default login --impersonate-service-account={launcher}` changes that",
            file=sys.stderr,
        )


def _region(settings: Settings, options: Mapping[str, Any]) -> str:
    """Where the workers will be."""
    zone = str(options.get("worker_zone") or "")
    return str(options.get("worker_region") or zone.rpartition("-")[0] or settings.region)


def _check_table(arguments: argparse.Namespace, job: IngestJob) -> None:
    store = job.open_store()
    if arguments.overwrite:
        confirm_overwrite(job, arguments.yes)
    elif not arguments.resume:
        refuse_existing(store)
    else:
        check_resumable(job, store)
    store.close()


def _upload(job: IngestJob, settings: Settings) -> str:
    """Put the dataset file where the launcher finds it; the same content is the same file."""
    folder = Folder(f"{settings.staging_location}/datasets")
    name = f"{labels(job)['dataset']}-{digest(job.dataset.text)[:12]}.yml"
    path = folder.path(name)
    copy = Dataset.from_text(job.dataset.text, path)
    for key in ("edges", "components", "watershed", "agglomeration"):
        if getattr(copy, key) != getattr(job.dataset, key):
            raise ConfigError(
                f"{job.dataset.path}: {key.upper()}: expected a whole URL, since the launcher reads a copy "
                f"of the file in {folder.path('')}, found a path from its own folder; "
                f"write {getattr(job.dataset, key)}"
            )
    folder.write({name: job.dataset.text.encode()})
    return path


def _wait(job: IngestJob, settings: Settings, job_id: str) -> None:
    page = console_url(settings.project, settings.region, job_id)
    try:
        ended = flex.wait(settings, job_id, lambda state: print(state, flush=True))
    except KeyboardInterrupt:
        print(f"\njob {job_id} goes on: {page}", file=sys.stderr)
        raise
    if ended.done:
        return
    lines = [*_failures(job), *flex.why(settings, job_id)]
    raise SubmitError("\n".join([*lines, f"job {job_id} ended as {ended.state}: {page}"]))


def _failures(job: IngestJob) -> list[str]:
    """What the table says of failed chunks."""
    try:
        store = job.open_store()
        failed = summarise(store) if store.exists() else None
    except StoreError as error:  # which must not hide what became of the job
        return [str(error)]
    if failed is None:
        return []
    return failed.lines(job.graph_id, job.dataset.path, job.grid.chunk_count(failed.layer))
