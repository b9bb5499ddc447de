"""The picture of docs/volumes.md: a section of volumes, of what `prepare` made of them, and of the graph.

python -m tests.volumes.picture GRAPH_ID DATASET.yml docs/volumes.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from cloudvolume import CloudVolume
from PIL import Image

from beam_ingest import open_graph
from beam_ingest.dataset import Dataset

_SCALE, _GAP = 2, 12


def coloured(labels: np.ndarray, lines: tuple[int, int] | None = None) -> np.ndarray:
    """Pixels of a section, shape (y, x, 3): a colour for each label, and lines between chunks."""
    mixed = (labels.T.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    channels = [(mixed >> np.uint64(shift)).astype(np.uint8) // 5 * 3 + 90 for shift in (56, 48, 40)]
    pixels = np.stack(channels, axis=-1)
    pixels[labels.T == 0] = 24
    pixels = pixels.repeat(_SCALE, 0).repeat(_SCALE, 1)
    if lines:
        pixels[:: lines[1] * _SCALE] = pixels[:, :: lines[0] * _SCALE] = 255
    return pixels


def main(graph_id: str, path: str, out: str) -> None:
    dataset = Dataset.from_file(path)
    assert dataset.volumes is not None
    sections = []
    for url in (dataset.volumes.supervoxels, dataset.watershed):
        volume = CloudVolume(url, progress=False)
        z = int(volume.bounds.minpt[2] + volume.volume_size[2] // 2)
        sections.append(np.asarray(volume[:, :, z])[..., 0, 0])
    known, at = np.unique(sections[1], return_inverse=True)
    roots = np.append(np.uint64(0), open_graph(path, graph_id).roots(known[1:]))
    objects = roots[at.reshape(sections[1].shape)]
    x, y, _ = dataset.chunk_size
    parts = [coloured(sections[0]), coloured(sections[1], (x, y)), coloured(objects)]
    gap = np.full((parts[0].shape[0], _GAP, 3), 255, np.uint8)
    Image.fromarray(np.concatenate([parts[0], gap, parts[1], gap, parts[2]], axis=1)).save(
        Path(out), optimize=True
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
