"""What a machine type of Google Cloud has, and how many bundles Dataflow runs on it at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r"-(\d+)(?:-(\d+))?(?:-[a-z]+)?$")
_SHARED_GB = {"micro": 1, "small": 2, "medium": 4}
"""Types of the series e2 that share two vCPUs, and their memory."""
_GB_PER_VCPU = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0}
_SERIES_GB_PER_VCPU = {
    "n1": {"standard": 3.75, "highmem": 6.5, "highcpu": 0.9},
    "c4": {"standard": 3.75, "highmem": 7.75, "highcpu": 2.0},
}
_LEAST_GB_PER_VCPU = 0.9
"""Of what is not in the tables: too little only asks for memory that would have been there."""
SERVICE_MACHINE_TYPE = "n1-standard-1"
"""What Dataflow takes for a batch job when nothing is said,"""
SERVICE_THREADS = 12
"""and the threads of each of its Python processes."""


@dataclass(frozen=True)
class Workers:
    """The workers of a job, each of them.

    Attributes:
      vcpus: its vCPUs.
      nbytes: its memory.
      bundles: how many bundles it runs at once, in all its processes and their threads.
    """

    vcpus: int
    nbytes: int
    bundles: int

    @classmethod
    def of(cls, machine_type: str, threads: int, experiments: Sequence[str] = ()) -> Workers:
        """The workers of a job.

        Args:
          machine_type: such as ``n2-standard-4`` or ``n2-custom-8-16384``.
          threads: of each process.
          experiments: of Apache Beam.
        """
        count = vcpus(machine_type)
        processes = 1 if "no_use_multiple_sdk_containers" in experiments else count
        return cls(count, round(_gigabytes(machine_type, count) * (1 << 30)), processes * threads)


def vcpus(machine_type: str) -> int:
    """The vCPUs of a machine type; 1 where its name does not tell."""
    if machine_type.rpartition("-")[2] in _SHARED_GB:
        return 2
    found = _NUMBER.search(machine_type)
    return max(1, int(found[1])) if found else 1


def _gigabytes(machine_type: str, count: int) -> float:
    *series, kind = _NUMBER.sub("", machine_type).split("-")
    found = _NUMBER.search(machine_type)
    if kind in _SHARED_GB:
        return _SHARED_GB[kind]
    if kind == "custom" and found and found[2]:
        return int(found[2]) / 1024
    table = _SERIES_GB_PER_VCPU.get(series[0] if series else "", _GB_PER_VCPU)
    return count * table.get(kind, _LEAST_GB_PER_VCPU)
