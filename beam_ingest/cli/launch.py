"""``beam-ingest launch``."""

from __future__ import annotations

import argparse

from beam_ingest import flex, progress
from beam_ingest.cli.display import print_submitted
from beam_ingest.cli.graph import confirm_overwrite, job_of
from beam_ingest.cli.template import parameters
from beam_ingest.dataflow import check_places, console_url, labels, read_region_clusters
from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, SubmitError
from beam_ingest.failures import summarise
from beam_ingest.files import Folder
from beam_ingest.job import IngestJob, refuse_existing
from beam_ingest.settings import Settings


def run(arguments: argparse.Namespace) -> int:
    """Launch the flex template, after everything that can be checked here was checked."""
    settings = Settings.from_file(arguments.settings)
    dataset = Dataset.from_file(arguments.dataset)
    arguments.store = settings.store_option(dataset, arguments.store)
    job = job_of(arguments, dataset)
    check_places(job)
    read_region_clusters(job, settings.region, arguments.any_region)
    _check_table(arguments, job)
    arguments.dataset = _upload(job, settings)
    arguments.store = "/".join(job.store.split("/")[:2])
    arguments.yes = arguments.overwrite
    given = {name: getattr(arguments, name) for name in flex.FLAGS if getattr(arguments, name) is not None}
    tags = {**settings.labels, **labels(job)}
    job_id = flex.launch(settings, job.graph_id, parameters(arguments), given, tags)
    print_submitted(job, settings.project, settings.region, job_id)
    if arguments.wait:
        _wait(job, settings, job_id)
    return 0


def _check_table(arguments: argparse.Namespace, job: IngestJob) -> None:
    store = job.open_store()
    if arguments.overwrite:
        confirm_overwrite(job, arguments.yes)
    elif not arguments.resume:
        refuse_existing(store)
    elif not store.exists():
        raise ConfigError(f"{store.place}: there is no graph to resume; leave --resume out")
    store.close()


def _upload(job: IngestJob, settings: Settings) -> str:
    """Put the dataset file where the launcher finds it; the same content is the same file."""
    folder = Folder(f"{settings.staging_location}/datasets")
    name = f"{labels(job)['dataset']}-{progress.digest(job.dataset.text)[:12]}.yml"
    folder.write({name: job.dataset.text.encode()})
    return folder.path(name)


def _wait(job: IngestJob, settings: Settings, job_id: str) -> None:
    ended = flex.wait(settings, job_id, lambda state: print(state, flush=True))
    if ended.done:
        return
    store = job.open_store()
    failed = summarise(store) if store.exists() else None
    lines = failed.lines(job.graph_id, job.dataset.path, job.grid.chunk_count(failed.layer)) if failed else []
    page = console_url(settings.project, settings.region, job_id)
    raise SubmitError("\n".join([*lines, f"job {job_id} ended as {ended.state}: {page}"]))
