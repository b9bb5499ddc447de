"""Write a whole sample dataset."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import operator
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from beam_ingest.errors import ConfigError
from beam_ingest.files import resolve_local
from beam_ingest.format.grid import SUPERVOXEL_LAYER
from beam_ingest.sample.spec import SPATIAL_BITS, SampleSpec, Triple
from beam_ingest.sample.stages import FOLDERS, SCRATCH, Found, Place, join, label, write
from beam_ingest.sample.watershed import VOLUMES, create_watershed

_CHUNKS_PER_PROCESS = 32
"""Fewer chunks than this are sooner done than another process has started."""
_BATCH = 4
_MOST_MESHED = 6
"""Nodes of higher layers are meshed by their parts."""
_MARK = ".beam-ingest-sample"
_MADE_OF_IT = ("graph.sqlite", "report.html", "sample_l2cache.sqlite")
"""What other commands write beside a sample; it stays when the sample is replaced."""
"""A file that tells a sample's folder, written first; make clean goes by it too."""
_DATASET = """\
# A synthetic dataset: made-up neurites, cut into supervoxels. Made by
#   beam-ingest sample DIR --chunks {chunks} --chunk-size {chunk_size} --seed {seed} \\
#     --data-version {data_version} --offset {offset}
# EDGES and COMPONENTS describe the same graph as AGGLOMERATION. Build it from them with
#   beam-ingest graph my_graph dataset.yml
# and with --raw from AGGLOMERATION.
# Relative paths are taken from this file's folder.
data_source:
  EDGES: ./edges
  COMPONENTS: ./components
  WATERSHED: ./ws
  DATA_VERSION: {data_version}
graph_config:
  CHUNK_SIZE: [{chunk_size_list}]
  FANOUT: 2
  SPATIAL_BITS: {spatial_bits}
  LAYER_ID_BITS: 8
ingest_config:
  AGGLOMERATION: ./agg      # used when raw input is asked for
backend_client:
  TYPE: sqlite
  CONFIG:
    PATH: ./graph.sqlite
l2cache_config:
  table_id: sample_l2cache
  cv_path: ./ws             # what a server opens; here the watershed is read
{mesh_config}"""
_MESH_CONFIG = """\
mesh_config:
  dir: meshes               # in WATERSHED
  mip: 0
  max_layer: {max_layer}
  max_error: 40
"""
_VOLUMES_FILE = "volumes.yml"
_VOLUMES = """\
# The same neurites as two volumes. Make edges, components and a watershed of them, and then a graph, with
#   beam-ingest prepare volumes.yml
#   beam-ingest graph my_graph volumes.yml
volumes:
  SUPERVOXELS: ./{supervoxels}
  SEGMENTATION: ./{segmentation}
data_source:
  EDGES: ./prepared/edges
  COMPONENTS: ./prepared/components
  WATERSHED: ./prepared/ws
graph_config:
  CHUNK_SIZE: [{chunk_size_list}]
  SPATIAL_BITS: {spatial_bits}
backend_client:
  TYPE: sqlite
  CONFIG:
    PATH: ./graph.sqlite.prepared
{mesh_config}"""


@dataclass(frozen=True)
class SampleCounts:
    """What was written.

    Attributes:
      chunks: chunks in the grid.
      empty_chunks: how many of them have no supervoxel (and no edges and components file).
      supervoxels: supervoxels in the watershed volume.
      in_chunk_edges: pairs of supervoxels that touch within a chunk.
      between_chunk_edges: pairs that touch over a face, each counted once.
      cross_chunk_edges: pairs of pieces of one supervoxel that a face cut, each counted once.
      bytes: size of all files together.
    """

    chunks: int
    empty_chunks: int
    supervoxels: int
    in_chunk_edges: int
    between_chunk_edges: int
    cross_chunk_edges: int
    bytes: int

    @property
    def edges(self) -> int:
        """Edges of all three groups, each counted once."""
        return self.in_chunk_edges + self.between_chunk_edges + self.cross_chunk_edges


def write_sample(
    directory: str | Path,
    spec: SampleSpec,
    progress: Callable[[int, int], None] | None = None,
    processes: int | None = None,
    overwrite: bool = False,
) -> SampleCounts:
    """Write the sample dataset that `spec` describes.

    Writes ``dataset.yml``, the watershed volume ``ws/``, ``edges/``, ``components/`` and the raw
    agglomeration ``agg/``. Equal specs give equal bytes, whatever the number of processes. With
    more than one process a script that calls this needs the ``if __name__ == "__main__"`` guard. A
    run that fails leaves what it has written.

    Args:
      directory: the folder to write to; made when it is missing.
      spec: what to write.
      progress: called with (steps done, steps in all) after each step; a chunk takes three.
      processes: how many work on it; the default is one per CPU, but no more than are worth it.
      overwrite: replace a sample that is there; a graph of it stays. A half-written one is always replaced.

    Raises:
      ConfigError: when the folder is not empty, or holds something else than a sample.
      OSError: when it cannot be written.
    """
    root = Path(resolve_local(str(directory)))
    if overwrite or _is_half_written(root):
        _remove_sample(root)
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        advice = ", or add --overwrite" if (root / _MARK).exists() else ""
        raise ConfigError(
            f"{directory} exists and is not an empty folder: name another one for the sample{advice}"
        )
    root.mkdir(parents=True, exist_ok=True)
    (root / _MARK).write_text("beam-ingest sample made this folder, and may replace it.\n")
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    for folder in ("ws", *(VOLUMES if spec.volumes else ())):
        create_watershed(f"{root}/{folder}", spec)
    chunk_count = spec.grid.chunk_count(SUPERVOXEL_LAYER)
    if processes is None:
        processes = max(1, min(os.cpu_count() or 1, chunk_count // _CHUNKS_PER_PROCESS))
    place = Place(spec, str(root))
    passes = (label, join, write)
    total = Found()
    with _mapper(processes) as run:
        for number, one_pass in enumerate(passes):
            for done, found in enumerate(run(functools.partial(one_pass, place), _chunks(spec)), start=1):
                total = Found(*map(operator.add, total, found))
                if progress is not None:
                    progress(number * chunk_count + done, len(passes) * chunk_count)
    shutil.rmtree(root / SCRATCH)
    (root / "dataset.yml").write_text(_dataset_yml(spec))
    if spec.volumes:
        (root / _VOLUMES_FILE).write_text(_volumes_yml(spec))
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    return SampleCounts(chunk_count, *total, bytes=size)


def _is_half_written(root: Path) -> bool:
    """Whether an earlier run was interrupted: the dataset file is written last."""
    return (root / _MARK).is_file() and not (root / "dataset.yml").exists()


def _remove_sample(root: Path) -> None:
    """Remove the sample at `root`, if one is there; raise when something else is, and remove nothing."""
    if not root.exists():
        return
    if not root.is_dir():
        raise ConfigError(f"{root}: expected a folder with a sample to replace, found a file")
    names = {path.name for path in root.iterdir()}
    ours = {
        _MARK,
        "dataset.yml",
        _VOLUMES_FILE,
        "ws",
        "volumes",
        "prepared",
        *(folder.partition("/")[0] for folder in FOLDERS),
    }
    others = sorted(name for name in names - ours if not name.startswith(_MADE_OF_IT))
    if names and (_MARK not in names or others):
        found = f"{others[0]} in it" if others else f"no {_MARK} in it"
        raise ConfigError(
            f"{root}: expected a folder that beam-ingest sample made, found {found}; it is left as it is: "
            "name another one for the sample"
        )
    for name in sorted(names & ours - {_MARK}):
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _chunks(spec: SampleSpec) -> Iterator[Triple]:
    x, y, z = map(range, spec.chunks)
    return itertools.product(x, y, z)


_Run: TypeAlias = Callable[[Callable[[Triple], Found], Iterable[Triple]], Iterable[Found]]


@contextmanager
def _mapper(processes: int) -> Iterator[_Run]:
    """A `map` over chunks in this process or in several."""
    if processes == 1:
        yield map
        return
    # Spawned, not forked: the caller may have threads running, gRPC's for one.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context)
    try:
        yield functools.partial(pool.map, chunksize=_BATCH)
    finally:
        pool.shutdown(cancel_futures=True)


def _volumes_yml(spec: SampleSpec) -> str:
    return _VOLUMES.format(
        chunk_size_list=", ".join(map(str, spec.chunk_size)),
        spatial_bits=SPATIAL_BITS,
        supervoxels=VOLUMES[0],
        segmentation=VOLUMES[1],
        mesh_config=_mesh_config(spec),
    )


def _mesh_config(spec: SampleSpec) -> str:
    root_layer = (max(spec.chunks) - 1).bit_length() + 2
    return _MESH_CONFIG.format(max_layer=min(_MOST_MESHED, root_layer))


def _dataset_yml(spec: SampleSpec) -> str:
    def words(numbers: Triple) -> str:
        return " ".join(map(str, numbers))

    return _DATASET.format(
        chunks=words(spec.chunks),
        chunk_size=words(spec.chunk_size),
        chunk_size_list=", ".join(map(str, spec.chunk_size)),
        seed=spec.seed,
        data_version=spec.data_version,
        offset=words(spec.voxel_offset),
        mesh_config=_mesh_config(spec),
        spatial_bits=SPATIAL_BITS,
    )
