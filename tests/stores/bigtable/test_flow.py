"""Pacing, deadlines and partial answers: what a write to Bigtable does about a server that is not well."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from beam_ingest.errors import StoreError
from beam_ingest.format import table
from beam_ingest.format.table import Column
from beam_ingest.stores import bigtable as product
from beam_ingest.stores.bigtable import BigtableStore
from beam_ingest.stores.flow import RateLimiter, limiter_of
from testing.emulator import Emulator, read_table
from testing.faults import Fault, Plan
from testing.proxy import MUTATE_ROWS, FaultyProxy


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> RateLimiter:
    return RateLimiter(clock, clock.sleep)


def waits(limiter: RateLimiter, requests: int) -> float:
    """Seconds that so many requests wait in all."""
    return sum(limiter.wait() for _ in range(requests))


def test_the_rate_follows_the_server(limiter: RateLimiter, clock: Clock) -> None:
    limiter.back_off()
    assert waits(limiter, 100) == 0  # the server has asked for nothing
    limiter.adjust(0.8, 5.0)  # from 10 requests a second to 8
    limiter.adjust(0.1, 5.0)  # too soon: ignored
    assert waits(limiter, 17) == pytest.approx(16 / 8)
    clock.now = 105.0
    limiter.adjust(100.0, 20.0)  # no more than 1.3 at once
    assert waits(limiter, 105) == pytest.approx(104 / (8 * 1.3))


def test_pacing_ends_when_its_period_passed_and_an_answer_asks_for_nothing(
    limiter: RateLimiter, clock: Clock
) -> None:
    limiter.adjust(0.7, 10.0)
    limiter.adjust()
    assert waits(limiter, 2) > 0  # the period lasts
    clock.now += 10.0
    assert waits(limiter, 2) > 0  # and until the server says something else
    limiter.adjust()
    assert waits(limiter, 100) == 0
    clock.now += 1.0
    limiter.adjust(1.0, 10.0)  # the rate of before
    assert waits(limiter, 8) == pytest.approx(7 / 7)


def test_pacing_ends_with_a_long_silence(limiter: RateLimiter, clock: Clock) -> None:
    for _ in range(30):
        limiter.adjust(0.5, 10.0)
        clock.now += 10.0
    assert waits(limiter, 3) == pytest.approx(20)  # the slowest there is: 0.1 a second
    clock.now += 86_400
    assert waits(limiter, 100) == 0


@pytest.mark.parametrize(("factor", "period"), [(0.0, 10.0), (-1.0, 10.0), (1.3, 0.0), (math.nan, 10.0)])
def test_an_answer_without_a_factor_or_a_period_asks_for_nothing(
    limiter: RateLimiter, clock: Clock, factor: float, period: float
) -> None:
    limiter.adjust(factor, period)
    assert waits(limiter, 100) == 0
    limiter.adjust(0.8, 5.0)
    clock.now += 5.1
    limiter.adjust(factor, period)
    assert waits(limiter, 100) == 0


def test_an_overloaded_server_is_asked_less(limiter: RateLimiter, clock: Clock) -> None:
    limiter.adjust(1.0, 1.0)
    clock.now += 1.0
    limiter.back_off()
    limiter.back_off()  # too soon: ignored
    assert waits(limiter, 8) == pytest.approx(7 / 7)
    clock.now += 8.9  # it lasts ten seconds
    limiter.adjust()
    assert limiter.interval > 0


def cells(count: int) -> list[Column]:
    ids = np.arange(count, dtype=np.uint64)
    return [table.fixed(table.PARENT, table.node_keys(ids), ids)]


def rows_of(proxy: FaultyProxy, name: str) -> int:
    return len(read_table(proxy.address, "p", "i", name))


def paced(name: str, rate: float) -> BigtableStore:
    """A new table that this process writes `rate` requests a second to."""
    store = BigtableStore("p", "i", name)
    store.create()
    limiter = limiter_of("p", "i", name, "")
    limiter.adjust(1.0, 3600.0)
    limiter._rate = rate
    return store


def test_pacing_outlives_a_discarded_store(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that is tried again has a new store, and the server is as overloaded as before."""
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    paced("discarded", 2.0).write(cells(1), 1000)
    assert BigtableStore("p", "i", "discarded").write(cells(1), 1000).throttled_ms > 0


def test_throttled_time_is_reported(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly: fractions of a millisecond, of ten thousand requests, are seconds."""
    monkeypatch.setattr(product, "REQUEST_ENTRIES", 10)
    plan = Plan(rates={Fault.RATE_LIMIT: 1.0}, rate_limits=((1.3, 0.0001),))
    waited = []
    wait = RateLimiter.wait

    def spy(limiter: RateLimiter) -> float:
        waited.append(wait(limiter))
        return waited[-1]

    monkeypatch.setattr(RateLimiter, "wait", spy)
    with FaultyProxy(emulator.address, plan) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        store = BigtableStore("p", "i", "throttled")
        store.create()
        report = store.write(cells(300), 1000)
    assert report.requests == len(waited) == 30
    assert report.throttled_ms > 0
    assert report.throttled_ms == pytest.approx(1000 * sum(waited))


def test_the_deadline_runs_from_the_first_failure_and_not_while_paced(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the three rounds takes longer than the time for retries; the first two fail altogether."""
    monkeypatch.setattr(product, "REQUEST_ENTRIES", 10)
    monkeypatch.setattr(product, "WRITE_SECONDS", 0.3)
    plan = Plan(rates={Fault.REFUSED: 1.0}, limit=2, codes=[grpc.StatusCode.ABORTED])
    with FaultyProxy(emulator.address, plan) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        report = paced("deadline", 15.0).write(cells(100), 1000)
        assert rows_of(proxy, "deadline") == 100
    assert report.retries == {"ABORTED": 200}
    assert report.throttled_ms > 3 * 1000 * 0.3


def test_an_answer_does_not_grow_old_unread(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent at long intervals is read before the next wait: else its deadline passes in the queue."""
    monkeypatch.setattr(product, "REQUEST_ENTRIES", 1)
    monkeypatch.setattr(product, "_CALL_SECONDS", 1.0)
    monkeypatch.setattr(product, "_FAR_APART_SECONDS", 0.3)
    with FaultyProxy(emulator.address, Plan()) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        report = paced("unread", 2.0).write(cells(4), 1000)
    assert report.retries == {}
    assert (report.requests, len(proxy.calls)) == (4, 4)


class Lame(FaultyProxy):
    """Applies calls and answers every entry, then ends with an error all the same."""

    def mutate_rows(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from self.forward(MUTATE_ROWS, request, context)
        context.abort(grpc.StatusCode.UNKNOWN, "injected")


def test_an_error_after_every_entry_was_answered(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with Lame(emulator.address) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        store = BigtableStore("p", "i", "lame")
        store.create()
        report = store.write(cells(5), 1000)
        assert (report.requests, report.retries) == (1, {})
        assert rows_of(proxy, "lame") == 5


def test_a_write_that_is_given_up_ends(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def refuse(_: bytes) -> bool:
        asked.set()
        return True

    plan = Plan(bad_row=refuse, bad_code=grpc.StatusCode.UNAVAILABLE)
    raised: list[StoreError] = []
    with FaultyProxy(emulator.address, plan) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        store = BigtableStore("p", "i", "given_up")
        store.create()

        def write() -> None:
            try:
                store.write(cells(1), 1000)
            except StoreError as error:
                raised.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        assert asked.wait(60)
        store.give_up()
        writer.join(60)
    assert not writer.is_alive()
    assert "the write was given up" in str(raised[0])


def test_a_reader_that_stops_early_ends_the_stream(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    store = BigtableStore("p", "i", "early")
    store.create()
    store.write(cells(2000), 1000)
    rows = store.read_range(b"0", b"1")
    assert next(rows)[0] == b"%020d" % 0
    rows.close()  # type: ignore[attr-defined]
    assert len(list(store.read_range(b"0", b"1"))) == 2000
    store.close()
