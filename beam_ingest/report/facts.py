"""What a report says of a graph, read from its table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.reader import GraphReader
from beam_ingest.report.voxels import VoxelCounts, count_voxels
from beam_ingest.stages import failures, progress
from beam_ingest.stages.manifest import Manifest, read_graph
from beam_ingest.stages.progress import LayerStatus
from beam_ingest.stages.scope import Scope
from beam_ingest.stages.usage import read_usage
from beam_ingest.stores import open_store
from beam_ingest.view.objects import Objects, count_objects, spread_chunks

MOST_CHUNKS = 1024
"""Chunks up to which objects are counted in all of them: some seconds."""


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a graph.

    Attributes:
      place: where its table is.
      manifest: of what it was built, and how.
      dataset: the dataset file as the graph was begun with it.
      grid: its chunk grid.
      layers: progress of each layer, from layer 2 up.
      complete: whether everything is built.
      failed: what there is to say of failures; None if there is none.
      objects: its objects, the largest first.
      voxels: voxels of objects, where the watershed could be read.
      unread: why it could not be read, or "".
      verified: what ``verify --json`` printed, or None.
      usage: what the layers of each run on one machine took (`beam_ingest.stages.usage`).
    """

    place: str
    manifest: Manifest
    dataset: Dataset
    grid: ChunkGrid
    layers: list[LayerStatus]
    complete: bool
    failed: failures.Summary | None
    objects: Objects
    voxels: VoxelCounts | None
    unread: str
    verified: Mapping[str, Any] | None
    usage: list[list[dict[str, Any]]]


def gather(dataset: Dataset, graph_id: str, place: str, verified: Mapping[str, Any] | None = None) -> Facts:
    """Read what a report needs.

    Args:
      dataset: the dataset file.
      graph_id: the graph.
      place: URL of its store, from `beam_ingest.store_url`.
      verified: what `read_verdict` gives, or None.

    Raises:
      StoreError: when there is no such graph, or its table cannot be read.
    """
    with open_store(place) as store:
        manifest = read_graph(store, graph_id)
        begun = Dataset.from_text(manifest.dataset, dataset.path)  # the file may have changed since
        grid = ChunkGrid(manifest.chunks, begun.layer_id_bits, begun.spatial_bits)
        layers = progress.read_status(store, grid)
        reader = GraphReader(store, grid, begun)
        objects = count_objects(reader, spread_chunks(grid, MOST_CHUNKS))
        voxels, unread = count_voxels(store, reader, begun, objects)
        return Facts(
            place=store.place,
            manifest=manifest,
            dataset=begun,
            grid=grid,
            layers=layers,
            complete=progress.is_complete(layers, Scope(grid, manifest.options["test"])),
            failed=failures.summarise(store),
            objects=objects,
            voxels=voxels,
            unread=unread,
            verified=verified,
            usage=read_usage(store),
        )


def read_verdict(path: str, graph_id: str) -> Mapping[str, Any]:
    """What ``beam-ingest verify --json`` printed into a file.

    Raises:
      ConfigError: when the file is none, or of another graph.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = json.loads(file.read())
        sound = type(content["total"]) is int and type(content["graph_id"]) is str
        for kind in content["differences"].values():
            sound = sound and type(kind["count"]) is int and all(type(e) is str for e in kind["examples"])
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise ConfigError(f"{path}: expected what beam-ingest verify --json prints, found something else")
    if content["graph_id"] != graph_id:
        raise ConfigError(f"{path}: expected a verdict on {graph_id}, found one on {content['graph_id']}")
    return dict(content)
