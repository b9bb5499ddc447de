"""What a plan finds: which chunks have files, and what the regions of its sample came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from beam_ingest.checks import findings
from beam_ingest.checks.listing import FileKind, columns
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Mask
from beam_ingest.plan.amounts import Amounts, StageSample
from beam_ingest.plan.measure import LayerSample, RegionSample
from beam_ingest.plan.presence import Presence, decode_bits, encode_bits
from beam_ingest.plan.regions import Region

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(eq=False)
class PlanFindings(findings.Findings):
    """Findings of some folders and regions.

    Attributes:
      present: by part of a listing, which of its chunks have files, as `encode_bits` has it.
      samples: what regions of a graph came to.
      parts: what parts of the sample of another stage came to.
    """

    present: dict[str, str] = field(default_factory=dict)
    samples: list[RegionSample] = field(default_factory=list)
    parts: list[StageSample] = field(default_factory=list)

    def list(self, part: str, there: Mask) -> None:
        """Note which chunks of a part have files."""
        self.present[part] = encode_bits(there)

    def presence(self, grid: ChunkGrid, kind: FileKind, raw: bool) -> Presence:
        """The chunks that have files; every one if none could be listed.

        Args:
          grid: the chunk grid.
          kind: the kind of files that was listed.
          raw: whether these are shard files, which have records of the chunks beside theirs, too.
        """
        if not self.present:
            return Presence.full(grid)
        mask = np.zeros(grid.bounds(ATOMIC_LAYER), bool)
        for part, text in self.present.items():
            xs = columns(kind, part)
            mask[xs] = decode_bits(text, (xs.size, *mask.shape[1:]))
        if raw:
            for axis in range(3):
                moved = np.moveaxis(mask, axis, 0)
                moved[1:] |= moved[:-1].copy()
        return Presence(grid, mask)

    def merge(self, other: Self) -> None:
        """Add what was found elsewhere."""
        super().merge(other)
        self.present |= other.present
        self.samples = sorted([*self.samples, *other.samples], key=lambda sample: sample.region)
        self.parts = sorted([*self.parts, *other.parts], key=lambda part: part.region)

    def _unprinted(self) -> dict[str, Any]:
        samples = [asdict(sample) for sample in self.samples]
        parts = [asdict(part) for part in self.parts]
        there = dict(sorted(self.present.items()))
        return super()._unprinted() | {"present": there, "samples": samples, "parts": parts}

    @classmethod
    def _others(cls, content: dict[str, Any]) -> dict[str, Any]:
        samples = [_sample(each) for each in content["samples"]]
        parts = [_part(each) for each in content["parts"]]
        others = {"present": content["present"], "samples": samples, "parts": parts}
        return super()._others(content) | others


def _sample(content: dict[str, Any]) -> RegionSample:
    layer, coords = content["region"]
    layers = {int(each): LayerSample(**numbers) for each, numbers in content["layers"].items()}
    counters = {name: content[name] for name in ("root_counters", "counter_bytes")}
    around = LayerSample(**content["around"])
    return RegionSample(Region(layer, tuple(coords)), layers, around, **counters)


def _part(content: dict[str, Any]) -> StageSample:
    layer, coords = content["region"]
    layers = {int(each): Amounts(**numbers) for each, numbers in content["layers"].items()}
    unit = content["unit"] and Region(content["unit"][0], tuple(content["unit"][1]))
    return StageSample(Region(layer, tuple(coords)), content["whole"], layers, unit)
