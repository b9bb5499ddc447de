"""Volumes of every format, encoding and type, written by other programs, as ``prepare`` reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
from cloudvolume import CloudVolume

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, InputError
from beam_ingest.volumes.source import Extent, VolumeReader, read_extent
from tests.conftest import Cli
from tests.volumes.datasets import OFFSET, RESOLUTION, SIZE, outputs, write_dataset, write_volume

SHAPE = (17, 11, 19)
LABELS = np.random.default_rng(0).integers(0, 200, SHAPE)
TYPES = ("uint8", "uint16", "uint32", "uint64")


def write(place: Path, driver: str, metadata: dict[str, Any], voxels: np.ndarray, **spec: Any) -> None:
    store = {"driver": "file", "path": f"{place}/"}
    spec |= {"driver": driver, "kvstore": store, "metadata": metadata, "create": True}
    tensorstore.open(spec).result().write(voxels).result()


def ome(axes: str, version: str, unit: str = "nanometer") -> dict[str, Any]:
    """Metadata of a volume at OFFSET with RESOLUTION; the translation is in units, not in voxels."""
    scale = dict(zip("xyzc", (*RESOLUTION, 1), strict=True))
    nanometres = {"nanometer": 1, "micrometer": 1000}[unit]
    steps = [
        {"type": "scale", "scale": [scale[a] / (nanometres if a != "c" else 1) for a in axes]},
        {
            "type": "translation",
            "translation": [
                scale[a] * o / nanometres if a != "c" else 0
                for a in axes
                for o in [dict(zip("xyzc", (*OFFSET, 0), strict=True))[a]]
            ],
        },
    ]
    kinds = [
        {"name": a, "type": "channel"} if a == "c" else {"name": a, "type": "space", "unit": unit}
        for a in axes
    ]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    return {"multiscales": [{"version": version, "axes": kinds, "datasets": datasets}]}


def laid_out(axes: str, dtype: str) -> np.ndarray:
    voxels = LABELS.astype(dtype)
    return (voxels[..., None] if "c" in axes else voxels).transpose(["xyzc".index(a) for a in axes])


def blocks(axes: str) -> list[int]:
    return [1 if axis == "c" else 8 for axis in axes]


def write_zarr2(place: Path, dtype: str, axes: str = "zyx", compressor: Any = None, **more: Any) -> str:
    voxels = laid_out(axes, dtype)
    code = more.get("code", {"uint8": "|u1", "uint16": "<u2", "uint32": "<u4", "uint64": "<u8"}[dtype])
    metadata = {"shape": voxels.shape, "chunks": blocks(axes), "dtype": code, "compressor": compressor}
    write(place / "0", "zarr", metadata | {"dimension_separator": more.get("separator", "/")}, voxels)
    (place / ".zgroup").write_text('{"zarr_format": 2}')
    (place / ".zattrs").write_text(json.dumps(ome(axes, "0.4", more.get("unit", "nanometer"))))
    return f"zarr2://{place.as_uri()}"


def write_zarr3(place: Path, dtype: str, axes: str = "zyx", codecs: Any = (), shard: bool = False) -> str:
    voxels = laid_out(axes, dtype)
    steps = [{"name": "bytes", "configuration": {"endian": "little"}}, *codecs]
    if shard:
        inner = {"chunk_shape": [max(1, n // 2) for n in blocks(axes)], "codecs": steps}
        steps = [{"name": "sharding_indexed", "configuration": inner}]
    grid = {"name": "regular", "configuration": {"chunk_shape": blocks(axes)}}
    metadata = {"shape": voxels.shape, "data_type": dtype, "chunk_grid": grid, "codecs": steps}
    write(place / "0", "zarr3", metadata, voxels)
    attributes = {"ome": ome(axes, "0.5")}
    (place / "zarr.json").write_text(
        json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes})
    )
    return f"zarr3://{place.as_uri()}"


def write_n5(place: Path, dtype: str, compression: str = "gzip") -> str:
    metadata = {
        "dimensions": SHAPE,
        "blockSize": [8, 8, 8],
        "dataType": dtype,
        "compression": {"type": compression},
    }
    write(place / "s0", "n5", metadata, LABELS.astype(dtype))
    resolution = {"unit": "nm", "dimensions": RESOLUTION}
    (place / "attributes.json").write_text(json.dumps({"pixelResolution": resolution, "scales": [[1, 1, 1]]}))
    return f"n5://{place.as_uri()}"


def write_sharded(place: Path, dtype: str) -> str:
    scale = {
        "size": SHAPE,
        "voxel_offset": OFFSET,
        "resolution": RESOLUTION,
        "chunk_size": [8, 8, 8],
        "encoding": "raw",
        "sharding": {
            "@type": "neuroglancer_uint64_sharded_v1",
            "preshift_bits": 1,
            "hash": "murmurhash3_x86_128",
            "minishard_bits": 1,
            "shard_bits": 1,
            "minishard_index_encoding": "gzip",
            "data_encoding": "gzip",
        },
    }
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{place}/"},
        "multiscale_metadata": {"data_type": dtype, "num_channels": 1, "type": "segmentation"},
        "scale_metadata": scale,
        "create": True,
    }
    store = tensorstore.open(spec).result()
    store.write(LABELS.astype(dtype)[..., None]).result()
    assert list(place.rglob("*.shard"))
    return place.as_uri()


Writer = Callable[[Path], str]
GZIP = {"name": "gzip", "configuration": {"level": 1}}
BLOSC = {"cname": "lz4", "clevel": 1, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}
KINDS: dict[str, tuple[str, Writer]] = {
    **{
        f"{encoding}-{dtype}": (
            dtype,
            lambda p, e=encoding, d=dtype: write_volume(p, LABELS.astype(d), encoding=e),  # type: ignore[misc]
        )
        for dtype in TYPES
        for encoding in ("raw", "compressed_segmentation", "compresso", "crackle")
        if encoding != "compressed_segmentation" or dtype in ("uint32", "uint64")
    },
    **{
        f"{name}-{dtype}": (dtype, lambda p, w=writer, d=dtype: w(p, d))  # type: ignore[misc]
        for dtype in TYPES
        for name, writer in (
            ("zarr2", write_zarr2),
            ("zarr3", write_zarr3),
            ("n5", write_n5),
        )
    },
    "sharded-uint64": ("uint64", lambda p: write_sharded(p, "uint64")),
    "zarr2-channel": ("uint32", lambda p: write_zarr2(p, "uint32", "czyx", {"id": "blosc"})),
    "zarr2-xyz": ("uint32", lambda p: write_zarr2(p, "uint32", "xyz", {"id": "zstd", "level": 1})),
    "zarr2-big-endian": ("uint64", lambda p: write_zarr2(p, "uint64", code=">u8", separator=".")),
    "zarr2-micrometres": ("uint32", lambda p: write_zarr2(p, "uint32", unit="micrometer")),
    "zarr3-channel": ("uint32", lambda p: write_zarr3(p, "uint32", "czyx", [GZIP])),
    "zarr3-xyz": (
        "uint32",
        lambda p: write_zarr3(p, "uint32", "xyz", [{"name": "blosc", "configuration": BLOSC}]),
    ),
    "zarr3-crc": ("uint64", lambda p: write_zarr3(p, "uint64", codecs=[{"name": "crc32c"}])),
    "zarr3-sharded": ("uint64", lambda p: write_zarr3(p, "uint64", codecs=[GZIP], shard=True)),
    "n5-raw": ("uint64", lambda p: write_n5(p, "uint64", "raw")),
    "n5-xz": ("uint64", lambda p: write_n5(p, "uint64", "xz")),
}


def opened(folder: Path, url: str, **volumes: Any) -> tuple[Extent, VolumeReader]:
    dataset = Dataset.from_file(write_dataset(folder, {"SUPERVOXELS": url} | volumes))
    extent = read_extent(dataset)
    return extent, VolumeReader(dataset, extent)


def assembled(extent: Extent, reader: VolumeReader, dtype: str) -> np.ndarray:
    """The volume, read chunk by chunk."""
    voxels = np.zeros(SHAPE, dtype)
    for coords in np.ndindex(*(-(-n // c) for n, c in zip(SHAPE, SIZE, strict=True))):
        low, high = reader.box(coords)
        box = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, extent.offset, strict=True))
        read = reader.supervoxels(coords)
        assert read.dtype == dtype
        assert read.flags.f_contiguous
        voxels[box] = read
    return voxels


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read(name: str, tmp_path: Path) -> None:
    dtype, writer = KINDS[name]
    extent, reader = opened(tmp_path, writer(tmp_path / "volume"))
    offset = (0, 0, 0) if name.startswith("n5") else OFFSET  # it has none
    assert extent == Extent(SHAPE, offset, tuple(map(float, RESOLUTION)))
    assert np.array_equal(assembled(extent, reader, dtype), LABELS)


@pytest.mark.parametrize("name", ["raw-uint64", "zarr2-uint64", "zarr3-uint64", "zarr3-sharded", "n5-uint64"])
def test_blocks_that_are_not_stored_and_damaged_ones(name: str, tmp_path: Path) -> None:
    url = KINDS[name][1](tmp_path / "volume")
    block = sorted(
        file
        for file in (tmp_path / "volume").rglob("*")
        if file.is_file() and "json" not in file.name and not file.name.startswith((".z", "info", "prov"))
    )[0]
    content = block.read_bytes()
    block.unlink()
    extent, reader = opened(tmp_path, url)
    with pytest.raises(InputError, match=r"every block of the volume stored, found none at .*FILL_MISSING"):
        assembled(extent, reader, "uint64")
    extent, reader = opened(tmp_path, url, FILL_MISSING=True)
    found = assembled(extent, reader, "uint64")
    absent = found != LABELS
    assert 0 < np.count_nonzero(absent) <= 16 * 8 * 8
    assert not found[absent].any()
    block.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"chunk \d_\d_\d: expected voxels that can be read, found "):
        assembled(extent, reader, "uint64")


def test_a_level_and_the_segmentation_of_its_resolution(tmp_path: Path) -> None:
    coarse = LABELS[:9, :6].astype(np.uint32)
    urls = {}
    for key, first in (("SUPERVOXELS", LABELS), ("SEGMENTATION", LABELS + 1)):
        urls[key] = write_volume(tmp_path / key, first.astype(np.uint32), (0, 0, 0))
        volume = CloudVolume(urls[key], progress=False)
        volume.add_scale((2, 2, 1))
        volume.commit_info()
        CloudVolume(urls[key], mip=1, progress=False)[:] = coarse + (key == "SEGMENTATION")
    urls["alone"] = write_volume(tmp_path / "alone", coarse + 1, (0, 0, 0), (16, 16, 40))
    for segmentation in (urls["SEGMENTATION"], urls["alone"]):
        extent, reader = opened(tmp_path, urls["SUPERVOXELS"], SEGMENTATION=segmentation, MIP=1)
        assert extent == Extent((9, 6, 19), (0, 0, 0), (16.0, 16.0, 40.0))
        assert np.array_equal(reader.supervoxels((1, 0, 1)), coarse[8:, :, 10:])
        found = reader.segmentation((1, 0, 1))
        assert found is not None
        assert np.array_equal(found, coarse[8:, :, 10:] + 1)
    with pytest.raises(ConfigError, match=r"SEGMENTATION: expected \[17, 11, 19\].*found \[9, 6, 19\]"):
        opened(tmp_path, urls["SUPERVOXELS"], SEGMENTATION=urls["alone"])


def test_places_are_those_of_the_files(tmp_path: Path) -> None:
    volumes = {"SUPERVOXELS": f"n5://file://{tmp_path}/v", "SEGMENTATION": "gs://bucket/s|zarr3:"}
    found = Dataset.from_file(write_dataset(tmp_path, volumes)).volumes
    assert found is not None
    assert found.places == {
        "volumes.SUPERVOXELS": f"file://{tmp_path}/v",
        "volumes.SEGMENTATION": "gs://bucket/s",
    }


def test_metadata_that_says_too_little(tmp_path: Path) -> None:
    url = write_zarr2(tmp_path / "zarr", "uint32")
    attributes = tmp_path / "zarr" / ".zattrs"
    for content, found in (
        (None, "OME metadata with multiscales"),
        ("[]", "is no JSON object"),
        ("{", "is no JSON"),
        (json.dumps(ome("zyx", "0.4")).replace('"zyx"', "").replace('"z"', '"q"'), "OME metadata"),
        (json.dumps(ome("zyx", "0.4")).replace("nanometer", "parsec"), "KeyError 'parsec'"),
    ):
        attributes.unlink() if content is None else attributes.write_text(content)
        with pytest.raises(ConfigError, match=f"volumes.SUPERVOXELS: expected a volume.*{found}"):
            opened(tmp_path, url)
    url = write_n5(tmp_path / "n5", "uint32")
    with pytest.raises(ConfigError, match=r"with mip 3 at .*one of its 1 levels"):
        opened(tmp_path, url, MIP=3)
    (tmp_path / "n5" / "attributes.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"attributes\.json with pixelResolution"):
        opened(tmp_path, url)
    with pytest.raises(ConfigError, match="expected a volume with mip 0"):
        opened(tmp_path, f"zarr3://{tmp_path.as_uri()}/none")


@pytest.mark.slow
def test_other_formats_give_the_same_bytes(tmp_path: Path, cli: Cli) -> None:
    precomputed = write_volume(tmp_path / "precomputed", LABELS.astype(np.uint64))
    zarr = write_zarr3(tmp_path / "zarr", "uint64", codecs=[GZIP], shard=True)
    paths = []
    for name, volumes in (
        ("precomputed", {"SUPERVOXELS": precomputed, "SEGMENTATION": precomputed}),
        ("zarr", {"SUPERVOXELS": f"{tmp_path}/zarr|zarr3:", "SEGMENTATION": zarr}),
    ):
        paths.append(write_dataset(tmp_path / f"of_{name}", volumes))
        assert cli("prepare", paths[-1]).status == 0
    assert outputs(paths[0]) == outputs(paths[1])
