"""The meshes that a graph must have, in plain Python over the whole volume; no code shared with the package.

Nodes are ids with 8 bits of layer; `spatial_bits` is 10. The rules are those that docs/meshes.md states.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import product

import DracoPy
import numpy as np
import zmesh
from scipy import ndimage

Coords = tuple[int, int, int]
Settings = tuple[np.ndarray, int, int]
"""Origin, bin and bits of a grid that vertices are rounded to."""


@dataclass
class Oracle:
    """Attributes:
    volume: supervoxels of the whole volume at the meshed mip.
    offset: where it begins, in its own voxels.
    block: voxels of a chunk.
    resolution: nm of a voxel.
    parents: the parent of each supervoxel and node that has one.
    layers: the number of layers.
    max_layer: the highest with meshes.
    max_error: nm.
    """

    volume: np.ndarray
    offset: Coords
    block: Coords
    resolution: Coords
    parents: dict[int, int]
    layers: int
    max_layer: int
    max_error: float

    def meshes(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        chunks = [-(-n // b) for n, b in zip(self.volume.shape, self.block, strict=True)]
        for at in product(*map(range, chunks)):
            found |= self.atomic(at, chunks)
        children = defaultdict(list)
        for child, parent in self.parents.items():
            children[parent].append(child)
        for layer in range(3, self.max_layer + 1):
            for node in sorted(children):
                if self.layer(node) == layer and len(children[node]) > 1:
                    parts = [self.falls_to(child, children) for child in sorted(children[node])]
                    parts = [part for part in parts if part in found]
                    if parts:
                        found[node] = self.stitch(node, parts, found)
        return found

    def falls_to(self, node: int, children: dict[int, list[int]]) -> int:
        while self.layer(node) > 2 and len(children[node]) == 1:
            (node,) = children[node]
        return node

    def layer(self, node: int) -> int:
        return node >> 56

    def coords(self, node: int) -> Coords:
        bits = 10 if self.layer(node) < 3 else max(1, self.layers - self.layer(node))
        packed = (node & ((1 << 56) - 1)) >> (56 - 3 * bits)
        x, y, z = (packed >> (i * bits) & ((1 << bits) - 1) for i in (2, 1, 0))
        return (x, y, z)

    def top(self, node: int, layer: int) -> int:
        while node in self.parents and self.layer(self.parents[node]) <= layer:
            node = self.parents[node]
        return node

    def atomic(self, at: Coords, chunks: list[int]) -> dict[int, bytes]:
        low = [a * b for a, b in zip(at, self.block, strict=True)]
        x, y, z = (slice(a, a + b + 1) for a, b in zip(low, self.block, strict=True))
        box = self.volume[x, y, z]
        around = [tuple(a + d for a, d in zip(at, step, strict=True)) for step in product((0, 1), repeat=3)]
        around = [each for each in around if all(a < n for a, n in zip(each, chunks, strict=True))]
        meeting = next(
            layer
            for layer in range(3, self.layers + 1)
            if layer == self.layers or len({tuple(a >> (layer - 2) for a in each) for each in around}) == 1
        )
        owns = defaultdict(list)
        for node in sorted({node for node in self.parents.values() if self.layer(node) == 2}):
            if self.coords(node) == at:
                owns[self.top(node, meeting)].append(node)
        labels, open_tops = np.zeros(box.shape, np.uint64), set()
        for supervoxel in np.unique(box).tolist():
            if supervoxel not in self.parents:
                continue
            node = self.parents[supervoxel]
            if self.coords(supervoxel) != at:
                if self.coords(supervoxel) not in around:
                    continue
                own = owns.get(self.top(node, meeting), [])
                if len(own) > 1:
                    open_tops.add(self.top(node, meeting))
                    node = self.top(node, meeting)
                else:
                    node = own[0] if own else 0
            labels[box == supervoxel] = node
        for top in open_tops:
            # A root of one layer-2 node is that node itself only where no other shares it.
            parts, count = ndimage.label(labels == top)
            for part in range(1, count + 1):
                touched = set()
                for axis in range(3):
                    if box.shape[axis] > 1:
                        last = np.take(parts, -1, axis) == part
                        touched |= set(np.take(labels, -2, axis)[last].tolist())
                touched &= set(owns[top])
                labels[parts == part] = min(touched, default=0)
        mesher = zmesh.Mesher(self.resolution)
        mesher.mesh(np.asfortranarray(labels))
        found = {}
        for node in mesher.ids():
            mesh = mesher.get(node, reduction_factor=100, max_error=self.max_error)
            mesher.erase(node)
            mesh.vertices[:] += self.origin(2, at).astype(np.float32)
            if len(mesh.faces):
                found[int(node)] = self.encode(mesh.vertices, mesh.faces, self.settings(2, at))
        return found

    def origin(self, layer: int, at: Coords) -> np.ndarray:
        scale = 2 ** (layer - 2)
        return (np.array(self.offset) + np.array(at) * self.block * scale) * self.resolution

    def settings(self, layer: int, at: Coords) -> Settings:
        most = math.floor(min(self.resolution) / math.sqrt(2))
        if layer == 2:
            span, begin = ((np.array(self.block) + 1) * self.resolution).max(), self.origin(2, at)
        else:
            _, below, _ = self.settings(layer - 1, at)
            span = (np.array(self.block) * 2 ** (layer - 2) * self.resolution).max() + 2 * below
            begin = self.origin(layer, at) - below
        bits = math.ceil(math.log2(span / most + 1))
        while True:
            size = math.ceil(span / (2**bits - 1))
            if size * (2**bits - 1) >= span + size:
                break
            if size < most:
                size += 1
                break
            bits += 1
        return begin - begin % size, size, bits

    def snap(self, points: np.ndarray, settings: Settings) -> np.ndarray:
        begin, size, _ = settings
        return np.floor((points - begin) / size + 0.5) * size + begin

    def encode(self, points: np.ndarray, faces: np.ndarray, settings: Settings) -> bytes:
        begin, size, bits = settings
        return DracoPy.encode(
            points.astype(np.float32),
            faces.astype(np.uint32),
            quantization_bits=bits,
            compression_level=1,
            quantization_range=float(size * (2**bits - 1)),
            quantization_origin=begin.astype(float),
            create_metadata=True,
        )

    def stitch(self, node: int, parts: list[int], meshes: dict[int, bytes]) -> bytes:
        layer, at = self.layer(node), self.coords(node)
        middle = self.origin(layer - 1, (2 * at[0] + 1, 2 * at[1] + 1, 2 * at[2] + 1)).astype(float)
        for each in range(2, layer + 1):
            x, y, z = ((2 * a + 1) * 2 ** (layer - 1 - each) if each < layer else a for a in at)
            middle = self.snap(middle, self.settings(each, (x, y, z)))
        inside: list[tuple[float, ...]] = []
        faces, shared = [], {}
        for part in parts:
            mesh, below = DracoPy.decode(meshes[part]), self.layer(part)
            points = np.asarray(mesh.points, float)
            for each in range(below + 1, layer + 1):
                x, y, z = (a >> (each - below) for a in self.coords(part))
                points = self.snap(points, self.settings(each, (x, y, z)))
            names: list[object] = []
            for point in map(tuple, points.tolist()):
                if any(a == b for a, b in zip(point, middle, strict=True)):
                    shared[point] = None
                    names.append(point)
                else:
                    names.append(len(inside))
                    inside.append(point)
            faces += [[names[corner] for corner in face] for face in mesh.faces]
        numbers = {point: len(inside) + i for i, point in enumerate(sorted(shared))}
        corners = [[each if isinstance(each, int) else numbers[each] for each in face] for face in faces]
        points = np.array([*inside, *sorted(shared)])
        return self.encode(points, np.array(corners), self.settings(layer, at))
