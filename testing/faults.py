"""What a test can ask to go wrong on the way to the Bigtable emulator."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

import grpc

RETRYABLE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INTERNAL,
)


class Fault(Enum):
    """What can happen to a MutateRows call, or to one entry of it."""

    REFUSED = "the call is refused before the server saw it"
    CUT_BEFORE = "the connection is cut before the server saw the call"
    LOST = "the server applied the call, an error is answered"
    CUT_AFTER = "the server applied the call, the connection is cut before any answer"
    HALF_ERROR = "the server applied the call, some entries are answered, then an error"
    HALF_CUT = "the server applied the call, some entries are answered, then the connection is cut"
    HALF_END = "the server applied the call, some entries are answered, then the answer ends as if whole"
    ENTRY_REFUSED = "an entry is not applied, and answered with a retryable code"
    ENTRY_LOST = "an entry is applied, but answered with a retryable code"
    SLOW = "the answer takes its time"
    RATE_LIMIT = "the answer carries rate_limit_info"
    BAD_ROW = "an entry is refused for good"


OF_CALLS = tuple(fault for fault in Fault if fault.name.startswith(("REFUSED", "LOST", "CUT", "HALF")))
OF_ENTRIES = (Fault.ENTRY_REFUSED, Fault.ENTRY_LOST)


@dataclass(frozen=True)
class Plan:
    """What goes wrong, and how often. The same calls meet the same faults, in whatever order they come.

    Cuts of connections are the exception: which answers still get through them, and which other calls
    break with them, is up to the network. An entry that breaks so has met a fault too.

    Attributes:
      rates: the probability of each fault, per call; of ENTRY_REFUSED and ENTRY_LOST, per entry of a
        call that meets no other fault. Not of BAD_ROW.
      seed: of the draws.
      limit: how often in a row an entry may meet a fault. Then it is answered, with its whole call.
      codes: what faults of calls and entries are answered with, one drawn each time.
      slow_seconds: the longest delay of a slow answer.
      rate_limits: (factor, period in seconds) of RATE_LIMIT, one drawn each time. As from the real
        service, only clients that announce batch write flow control get them.
      pieces: above 1, answers come in up to so many messages, their entries out of order. The emulator
        sends one message in order; the real service promises neither.
      bad_row: row keys whose entries are refused with `bad_code`, always.
      bad_code: any code.
      bad_call: refuse the whole call that has a bad row, not just the entry.
    """

    rates: Mapping[Fault, float] = field(default_factory=lambda: MappingProxyType({}))
    seed: int = 0
    limit: int = 3
    codes: Sequence[grpc.StatusCode] = RETRYABLE
    slow_seconds: float = 0.02
    rate_limits: Sequence[tuple[float, float]] = ((0.8, 10.0),)
    pieces: int = 1
    bad_row: Callable[[bytes], bool] | None = None
    bad_code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT
    bad_call: bool = False

    def __post_init__(self) -> None:
        for faults in (OF_CALLS, OF_ENTRIES, (Fault.SLOW,), (Fault.RATE_LIMIT,)):
            total = sum(self.rates.get(fault, 0.0) for fault in faults)
            if not 0 <= total <= 1 + 1e-9:
                raise ValueError(f"rates of {[fault.name for fault in faults]} add up to {total}, not 0 to 1")

    @property
    def harmless(self) -> bool:
        """Whether nothing goes wrong: calls then pass as they are."""
        return not any(self.rates.values()) and self.bad_row is None and self.pieces <= 1

    @classmethod
    def of_everything(cls, seed: int, rate: float = 0.08, **others: Any) -> Plan:
        """Every retryable fault at one rate, with answers in pieces."""
        rates = {fault: rate for fault in Fault if fault is not Fault.BAD_ROW}
        return cls(rates=rates, seed=seed, **{"pieces": 3, **others})

    def draw(self, chance: random.Random, faults: Iterable[Fault]) -> Fault | None:
        """At most one of the faults."""
        left = chance.random()
        for fault in faults:
            left -= self.rates.get(fault, 0.0)
            if left < 0:
                return fault
        return None
