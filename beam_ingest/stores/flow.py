"""Batch write flow control: sending no faster than Bigtable asks for.

As the Java client does it: the server is told that we listen (`FEATURES`), and may answer with a factor
and a period. Requests are then paced: their rate is multiplied by the factor, at most once a period.
An answer that asks for nothing ends the pacing, once the period has passed; the rate is remembered.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from functools import lru_cache

from google.cloud.bigtable_v2.types import FeatureFlags

FEATURES = (
    "bigtable-features",
    base64.urlsafe_b64encode(
        FeatureFlags.serialize(FeatureFlags(mutate_rows_rate_limit=True, mutate_rows_rate_limit2=True))
    ).decode(),
)
"""Request metadata that announces it."""
_FIRST_RATE = 10.0
_RATES = (0.1, 100_000.0)
_FACTORS = (0.7, 1.3)
_OVERLOAD_PERIOD = 10.0


class RateLimiter:
    """Paces requests while the server asks for it; else nothing waits. Threads may share one.

    Args:
      clock: seconds, monotonic.
      sleep: waits for seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._paced = False
        self._rate = _FIRST_RATE
        self._next = 0.0
        self._holds_until = 0.0

    @property
    def interval(self) -> float:
        """Seconds between two requests; 0 while they are not paced."""
        return 1 / self._rate if self._paced else 0.0

    def wait(self) -> float:
        """Wait until the next request may go; gives the seconds that it took."""
        with self._lock:
            now = self._clock()
            # No answer for so long: nothing was sent, so the server had no occasion to end it.
            if now > self._holds_until + 1 / self._rate:
                self._paced = False
            if not self._paced:
                return 0.0
            pause = max(0.0, self._next - now)
            self._next = max(self._next, now) + 1 / self._rate
        if pause:
            self._sleep(pause)
        return pause

    def adjust(self, factor: float = 0.0, period: float = 0.0) -> None:
        """Take an answer's word.

        Args:
          factor: what to multiply the rate by; not above 0 if the answer asks for nothing.
          period: seconds during which the rate is not changed again; likewise.
        """
        now = self._clock()
        with self._lock:
            if factor > 0 and period > 0:
                self._paced = True
                self._change(now, factor, period)
            elif now > self._holds_until:
                self._paced = False

    def back_off(self) -> None:
        """Slow down after the server was overloaded, if it paces us at all."""
        now = self._clock()
        with self._lock:
            if self._paced:
                self._change(now, _FACTORS[0], _OVERLOAD_PERIOD)

    def _change(self, now: float, factor: float, period: float) -> None:
        if now >= self._holds_until:
            self._holds_until = now + period
            rate = self._rate * min(max(factor, _FACTORS[0]), _FACTORS[1])
            self._rate = min(max(rate, _RATES[0]), _RATES[1])


@lru_cache(maxsize=64)
def limiter_of(*table: str) -> RateLimiter:
    """The one limiter of this process for a table, whichever threads and bundles write to it."""
    return RateLimiter()
