"""Removing a graph that another takes the place of: what carries our manifest, and nothing else."""

from __future__ import annotations

from beam_ingest.errors import GraphExistsError, StoreError
from beam_ingest.format import table
from beam_ingest.stages import progress
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.manifest import MANIFEST_KEY, has_manifest, no_manifest, read_manifest
from beam_ingest.stores.base import Store

_FOREIGN = (
    (b"", b"0"),
    (progress.AFTER_DIGITS, MANIFEST_KEY),
    (MANIFEST_KEY + b"\0", MANIFEST_KEY + b"/"),
    (MANIFEST_KEY + b"0", b"i0"),
    (b"i" + progress.AFTER_DIGITS, table.META_KEY),
    (table.META_KEY + b"\0", table.VERSION_KEY),
    (table.VERSION_KEY + b"\0", b""),
)
"""Ranges of keys that a graph as it is built has none of. A server's edits are counted in one of them."""


def refuse_existing(store: Store, job: StageJob) -> None:
    """Raise a `GraphExistsError` when the table of a job is there already."""
    if not store.exists():
        return
    _check_manifest(store)
    _check_stage(store, job.stage)
    it = "it" if job.verb == "is" else "them"
    elsewhere = f", another {job.store_option} keeps {it}" if job.store_option else ""
    raise GraphExistsError(
        f"{store.place}: {job.there} already; --resume finishes {it}, --overwrite builds {it} from "
        f"scratch{elsewhere}"
    )


def check_removable(store: Store, stage: str) -> None:
    """Make sure that what is there, if anything, is what a stage of this program made and nothing else.

    Raises:
      StoreError: when it is something else, holds something else, or may not be removed.
    """
    if not store.exists():
        return
    store.check_removable()
    _check_manifest(store)
    _check_stage(store, stage)
    for start, end in _FOREIGN:
        for key, *_ in store.scan(start, end):
            raise StoreError(
                f"{store.place}: it is not removed: beam-ingest did not write the row "
                f"{key.decode(errors='backslashreplace')!r} in it; a PyChunkedGraph server has edited the "
                "graph, or the table is used for something else; if nothing in it is needed, remove it with "
                f"`{store.removal_command}`"
            )


def remove_table(store: Store, stage: str) -> bool:
    """Remove what a stage made; gives whether there was anything.

    Raises:
      StoreError: as `check_removable`, and when it cannot be removed.
    """
    check_removable(store, stage)
    there = store.exists()
    store.drop()
    return there


def _check_manifest(store: Store) -> None:
    if not has_manifest(store):
        raise StoreError(no_manifest(store))


def _check_stage(store: Store, stage: str) -> None:
    """Refuse what another stage made; a damaged manifest does not tell, and is ours anyway."""
    try:
        manifest = read_manifest(store)
    except StoreError:
        return
    if manifest.stage != stage:
        raise StoreError(
            f"{store.place}: it holds {manifest.graph_id}, which `beam-ingest {manifest.stage}` made and "
            f"`beam-ingest {stage}` does not replace; choose another place"
        )
