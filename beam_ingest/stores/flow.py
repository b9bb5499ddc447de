"""Batch write flow control: sending no faster than Bigtable asks for.

As the Java client does it: the server is told that we listen (`FEATURES`), and may answer with a factor
and a period. The rate of requests is multiplied by the factor, at most once a period.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable

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
_DEFAULT_PERIOD = 10.0


class RateLimiter:
    """Paces requests once the server has asked for it; until then nothing waits.

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
        self._rate: float | None = None
        self._next = 0.0
        self._adjust_from = 0.0
        self.waited = 0.0
        """Seconds spent waiting so far."""

    def wait(self) -> None:
        """Wait until the next request may go."""
        with self._lock:
            if self._rate is None:
                return
            now = self._clock()
            pause = max(0.0, self._next - now)
            self._next = max(self._next, now) + 1 / self._rate
            self.waited += pause
        if pause:
            self._sleep(pause)

    def adjust(self, factor: float, period: float) -> None:
        """Take the server's word: multiply the rate, once a period."""
        now = self._clock()
        with self._lock:
            if now < self._adjust_from:
                return
            self._adjust_from = now + (period or _DEFAULT_PERIOD)
            rate = (self._rate or _FIRST_RATE) * min(max(factor, _FACTORS[0]), _FACTORS[1])
            self._rate = min(max(rate, _RATES[0]), _RATES[1])

    def back_off(self) -> None:
        """Slow down after the server was overloaded, if it paces us at all."""
        if self._rate is not None:
            self.adjust(_FACTORS[0], _DEFAULT_PERIOD)
