"""What a command costs: time, CPU and memory of it and of every process it starts (Linux)."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_LOOK_SECONDS = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    Attributes:
      wall: seconds from its start to its exit.
      cpu: CPU seconds, user and system, of all its processes.
      peak_bytes: the most that all its processes had resident at a time, pages they share counted in each.
      largest_bytes: the most that any one of them had.
      busy: cores that were busy on the machine on average, whoever used them.
    """

    wall: float
    cpu: float
    peak_bytes: int
    largest_bytes: int
    busy: float


def run(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a command to its end; raises what it said when it fails.

    Memory is looked at ten times a second.
    """
    cpu, busy, start = cpu_of_children(), _busy_seconds(), time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    peaks, ended = [0, 0], threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            sizes = [_resident_bytes(pid) for pid in _tree(process.pid)]
            peaks[0] = max(peaks[0], sum(sizes))
            peaks[1] = max(peaks[1], max(sizes))

    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    said, _ = process.communicate()
    wall = time.perf_counter() - start
    ended.set()
    looker.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{said.decode(errors='replace')[-4000:]}")
    return Cost(wall, cpu_of_children() - cpu, peaks[0], peaks[1], (_busy_seconds() - busy) / wall)


def cpu_of_children() -> float:
    """CPU seconds of the processes that were started here, and by those, and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tree(pid: int) -> list[int]:
    """A process and all that come of it."""
    found = [pid]
    for parent in found:  # grows as it is read
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children") as children:
                    found += [int(child) for child in children.read().split()]
    return found


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * _PAGE
    except OSError:  # it has ended
        return 0


def _busy_seconds() -> float:
    """CPU seconds that this machine has spent on anything."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, interrupts, soft_interrupts = map(int, stat.readline().split()[1:8])
    return (user + nice + system + interrupts + soft_interrupts) / _TICKS
