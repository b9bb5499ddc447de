"""The proxy and the emulator's harness: what a plan says is what the official client meets."""

from __future__ import annotations

import base64
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.bigtable.data import BigtableDataClient, RowMutationEntry, SetCell, Table
from google.cloud.bigtable.data.exceptions import MutationsExceptionGroup
from google.cloud.bigtable_admin_v2 import BigtableTableAdminClient
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin.transports import (
    BigtableTableAdminGrpcTransport,
)
from google.cloud.bigtable_v2.types import FeatureFlags, MutateRowsRequest, MutateRowsResponse

from testing.emulator import (
    VARIABLE,
    Emulator,
    VersionedCells,
    find_emulator,
    read_table,
    require_emulator,
)
from testing.faults import OF_CALLS, OF_ENTRIES, RETRYABLE, Fault, Plan
from testing.proxy import MUTATE_ROWS, FaultyProxy

PROJECT, INSTANCE = "project", "instance"
PATH = f"projects/{PROJECT}/instances/{INSTANCE}"
AT = 1_700_000_000_000_000
KEYS = [b"row%02d" % n for n in range(20)]
NAMES = (f"table{n}" for n in count())
APPLIED = [fault for fault in OF_CALLS if fault not in (Fault.REFUSED, Fault.CUT_BEFORE)]
CUTS = [fault for fault in OF_CALLS if "CUT" in fault.name]


def admin(channel: grpc.Channel) -> BigtableTableAdminClient:
    return BigtableTableAdminClient(transport=BigtableTableAdminGrpcTransport(channel=channel))


def create_table(address: str, name: str) -> None:
    with grpc.insecure_channel(address) as channel:
        admin(channel).create_table(
            request={"parent": PATH, "table_id": name, "table": {"column_families": {"0": {}, "1": {}}}}
        )


@contextmanager
def table_at(address: str, name: str) -> Iterator[Table]:
    """A table as the official data client has it."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("BIGTABLE_EMULATOR_HOST", address)
        warnings.simplefilter("ignore", RuntimeWarning)  # it says that it talks to an emulator
        client = BigtableDataClient(project=PROJECT)
    with client:
        yield client.get_table(INSTANCE, name)


def entries(keys: Iterable[bytes]) -> list[RowMutationEntry]:
    """Two cells a row."""
    return [
        RowMutationEntry(key, [SetCell("0", b"a", key[::-1], AT), SetCell("1", b"b", key * 2, AT)])
        for key in keys
    ]


def cells(keys: Iterable[bytes]) -> VersionedCells:
    """What `entries` write."""
    written: VersionedCells = {}
    for key in keys:
        written[key, "0", b"a"] = (key[::-1], AT)
        written[key, "1", b"b"] = (key * 2, AT)
    return written


def try_once(table: Table, keys: list[bytes]) -> dict[bytes, Exception]:
    """Write rows, in one attempt; returns what failed."""
    try:
        table.bulk_mutate_rows(entries(keys), retryable_errors=())
    except MutationsExceptionGroup as group:
        return {keys[failed.index]: failed.__cause__ for failed in group.exceptions}
    return {}


@contextmanager
def spoiled(emulator: Emulator, plan: Plan) -> Iterator[tuple[FaultyProxy, Table]]:
    """A proxy, and a new table through it."""
    name = next(NAMES)
    create_table(emulator.address, name)
    with FaultyProxy(emulator.address, plan) as proxy, table_at(proxy.address, name) as table:
        yield proxy, table


def arrived(emulator: Emulator, table: Table) -> VersionedCells:
    return read_table(emulator.address, PROJECT, INSTANCE, table.table_id)


def test_without_faults_all_passes(emulator: Emulator) -> None:
    with spoiled(emulator, Plan()) as (proxy, table):
        assert try_once(table, KEYS) == {}
        assert arrived(emulator, table) == cells(KEYS)
        assert read_table(proxy.address, PROJECT, INSTANCE, table.table_id) == cells(KEYS)
        rows = table.read_rows({})
        read = {
            (c.row_key, c.family, c.qualifier): (c.value, c.timestamp_micros) for row in rows for c in row
        }
        assert read == cells(KEYS)
        (call,) = proxy.calls
        assert (call.entries, call.mutations, call.announced) == (20, 40, False)
        assert proxy.max_in_flight == (1, call.size)
        assert call.finished is not None
        assert call.finished >= call.started
        assert not proxy.injected


def test_errors_of_the_emulator_pass(emulator: Emulator) -> None:
    with spoiled(emulator, Plan(pieces=2)) as (proxy, table), grpc.insecure_channel(proxy.address) as channel:
        with pytest.raises(exceptions.NotFound, match="nowhere"):
            admin(channel).get_table(name=f"{PATH}/tables/nowhere")
        with pytest.raises(exceptions.AlreadyExists):
            admin(channel).create_table(parent=PATH, table_id=table.table_id, table={})
        assert f"{PATH}/tables/{table.table_id}" in {t.name for t in admin(channel).list_tables(parent=PATH)}
        admin(channel).delete_table(name=f"{PATH}/tables/{table.table_id}")
        failed = try_once(table, KEYS)
        assert len(failed) == len(KEYS)
        assert all(isinstance(error, exceptions.NotFound) for error in failed.values())


@pytest.mark.parametrize("code", RETRYABLE, ids=lambda code: code.name)
def test_refused_calls_are_not_applied(emulator: Emulator, code: grpc.StatusCode) -> None:
    with spoiled(emulator, Plan({Fault.REFUSED: 1.0}, codes=[code], limit=2)) as (proxy, table):
        for _ in range(2):
            failed = try_once(table, KEYS)
            assert set(failed) == set(KEYS)
            assert {error.grpc_status_code for error in failed.values()} == {code}
            assert arrived(emulator, table) == {}
        assert try_once(table, KEYS) == {}  # the limit
        assert arrived(emulator, table) == cells(KEYS)
        assert proxy.injected == {Fault.REFUSED: 2}
        assert [dict(call.codes) for call in proxy.calls] == [{code: 1}, {code: 1}, {}]


@pytest.mark.parametrize("fault", OF_CALLS, ids=lambda fault: fault.name)
def test_faults_of_calls(emulator: Emulator, fault: Fault) -> None:
    plan = Plan({fault: 1.0}, codes=[grpc.StatusCode.ABORTED], limit=1)
    with spoiled(emulator, plan) as (proxy, table):
        failed = try_once(table, KEYS)
        assert arrived(emulator, table) == cells(KEYS if fault in APPLIED else [])
        if fault is Fault.HALF_END:  # entries without an answer are tried again by the client, unasked
            assert failed == {}
            assert [call.entries for call in proxy.calls] == [20, len(proxy.calls[1].names)]
            assert 0 < proxy.calls[1].entries < 20
        else:
            if fault is Fault.HALF_ERROR:
                assert 0 < len(failed) < 20
            elif fault is not Fault.HALF_CUT:  # which may take the answered half away too
                assert len(failed) == 20
            kind = exceptions.ServiceUnavailable if fault in CUTS else exceptions.Aborted
            assert {type(error) for error in failed.values()} == {kind}
            assert try_once(table, sorted(failed)) == {}
        assert arrived(emulator, table) == cells(KEYS)
        assert proxy.injected == {fault: 1}
        assert (proxy.calls[0].connection != proxy.calls[1].connection) == (fault in CUTS)


@pytest.mark.parametrize("fault", [Fault.ENTRY_REFUSED, Fault.ENTRY_LOST], ids=lambda fault: fault.name)
def test_faults_of_entries(emulator: Emulator, fault: Fault) -> None:
    with spoiled(emulator, Plan({fault: 0.5}, limit=1, pieces=3)) as (proxy, table):
        failed = try_once(table, KEYS)
        assert 0 < len(failed) < len(KEYS)
        there = set(KEYS) - set(failed) if fault is Fault.ENTRY_REFUSED else KEYS
        assert arrived(emulator, table) == cells(there)
        assert {error.grpc_status_code for error in failed.values()} <= set(RETRYABLE)
        assert proxy.injected == {fault: len(failed)}
        assert proxy.calls[0].codes.total() == len(failed)
        assert try_once(table, sorted(failed)) == {}
        assert arrived(emulator, table) == cells(KEYS)


def test_every_entry_refused(emulator: Emulator) -> None:
    with spoiled(emulator, Plan({Fault.ENTRY_REFUSED: 1.0}, limit=1)) as (_, table):
        assert set(try_once(table, KEYS)) == set(KEYS)
        assert arrived(emulator, table) == {}


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND])
def test_bad_rows(emulator: Emulator, code: grpc.StatusCode) -> None:
    bad = KEYS[7]
    plan = Plan.of_everything(3, bad_row=bad.__eq__, bad_code=code, rate_limits=[(1.2, 1.0)])
    with spoiled(emulator, plan) as (proxy, table):
        with pytest.raises(MutationsExceptionGroup) as raised:
            table.bulk_mutate_rows(entries(KEYS), retryable_errors=_transient())
        (failed,) = raised.value.exceptions
        assert KEYS[failed.index] == bad
        assert arrived(emulator, table) == cells(set(KEYS) - {bad})
        assert proxy.injected[Fault.BAD_ROW] >= 1


def test_bad_calls(emulator: Emulator) -> None:
    plan = Plan(bad_row=lambda key: key == KEYS[7], bad_call=True)
    with spoiled(emulator, plan) as (proxy, table):
        assert try_once(table, KEYS[:7]) == {}
        failed = try_once(table, KEYS[7:])
        assert set(failed) == set(KEYS[7:])
        assert all("row07" in str(error) for error in failed.values())
        assert arrived(emulator, table) == cells(KEYS[:7])
        proxy.plan = Plan()  # fixed
        assert try_once(table, KEYS[7:]) == {}


def test_slow_answers(emulator: Emulator) -> None:
    plan = Plan({Fault.SLOW: 1.0}, slow_seconds=0.1)
    with spoiled(emulator, plan) as (proxy, table):
        threads = [threading.Thread(target=try_once, args=(table, [key])) for key in KEYS[:8]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert arrived(emulator, table) == cells(KEYS[:8])
        assert proxy.injected == {Fault.SLOW: 8}
        assert 1 < proxy.max_in_flight[0] <= 8
        assert proxy.max_in_flight[1] >= 2 * min(call.size for call in proxy.calls)


@pytest.mark.parametrize("announced", [True, False])
def test_rate_limits_go_to_clients_that_announce_it(emulator: Emulator, announced: bool) -> None:
    plan = Plan({Fault.RATE_LIMIT: 1.0}, rate_limits=[(0.75, 2.5)], pieces=4)
    flags = FeatureFlags.serialize(FeatureFlags(mutate_rows_rate_limit2=announced))
    header = [("bigtable-features", base64.urlsafe_b64encode(flags).decode())]
    with spoiled(emulator, plan) as (proxy, table), grpc.insecure_channel(proxy.address) as channel:
        request = MutateRowsRequest(table_name=table.table_name, entries=[e._to_pb() for e in entries(KEYS)])
        answers = channel.unary_stream(MUTATE_ROWS)(MutateRowsRequest.serialize(request), metadata=header)
        pieces = [MutateRowsResponse.deserialize(answer) for answer in answers]
        assert len(pieces) == 4
        order = [entry.index for piece in pieces for entry in piece.entries]
        assert sorted(order) == list(range(20)) != order
        limits = [(piece.rate_limit_info.factor, piece.rate_limit_info.period) for piece in pieces]
        if announced:
            assert limits[0][0] == 0.75
            assert limits[0][1].total_seconds() == 2.5
        assert ["rate_limit_info" in piece for piece in pieces] == [announced, False, False, False]
        assert proxy.calls[0].announced == announced
        assert proxy.injected[Fault.RATE_LIMIT] == announced


@pytest.mark.sampled(2)
@pytest.mark.parametrize("seed", range(6))
def test_everything_at_once(emulator: Emulator, seed: int) -> None:
    keys = [b"%d" % n for n in range(240)]
    with spoiled(emulator, Plan.of_everything(seed)) as (proxy, table):

        def write(part: int) -> None:
            for at in range(part, 240, 40):
                table.bulk_mutate_rows(entries(keys[at : at + 10]), retryable_errors=_transient())

        threads = [threading.Thread(target=write, args=(part,)) for part in range(0, 40, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert arrived(emulator, table) == cells(keys)
        assert len(proxy.injected) > 5


def test_faults_follow_the_seed(emulator: Emulator) -> None:
    runs = []
    rates = {fault: 0.1 for fault in OF_CALLS + OF_ENTRIES if fault is not Fault.HALF_CUT}
    for seed in (1, 1, 2):
        with spoiled(emulator, Plan(rates, seed)) as (proxy, table):
            for at in range(0, 20, 5):
                table.bulk_mutate_rows(entries(KEYS[at : at + 5]), retryable_errors=_transient())
            assert arrived(emulator, table) == cells(KEYS)
            runs.append([(call.names, call.faults) for call in proxy.calls])
    assert runs[0] == runs[1] != runs[2]


def test_rates_are_checked() -> None:
    with pytest.raises(ValueError, match=r"REFUSED.* add up to 1\.2"):
        Plan({Fault.REFUSED: 0.6, Fault.LOST: 0.6})


def test_a_restarted_emulator_is_empty_and_in_its_place() -> None:
    with Emulator() as emulator, spoiled(emulator, Plan()) as (_, table):
        before = emulator.address
        assert try_once(table, KEYS) == {}
        emulator.stop()
        failed = try_once(table, KEYS)
        assert {type(error) for error in failed.values()} == {exceptions.ServiceUnavailable}
        emulator.start()
        assert emulator.address == before
        with pytest.raises(exceptions.NotFound):
            arrived(emulator, table)
        create_table(emulator.address, table.table_id)
        table.bulk_mutate_rows(entries(KEYS), retryable_errors=_transient())  # reconnecting takes 0.1 s
        assert arrived(emulator, table) == cells(KEYS)


def test_the_emulator_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = require_emulator()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(VARIABLE, str(program))
    assert find_emulator() == program
    monkeypatch.setenv(VARIABLE, str(tmp_path / "no"))
    assert find_emulator() is None
    with pytest.warns(pytest.PytestWarning, match="names no program"), pytest.raises(pytest.skip.Exception):
        require_emulator()
    monkeypatch.delenv(VARIABLE)
    with pytest.warns(pytest.PytestWarning, match="gcloud components"), pytest.raises(pytest.skip.Exception):
        require_emulator()
    (tmp_path / "sdk" / "bin").mkdir(parents=True)
    (tmp_path / "sdk" / "bin" / "gcloud").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "sdk" / "bin" / "gcloud").chmod(0o755)
    (tmp_path / "gcloud").symlink_to(tmp_path / "sdk" / "bin" / "gcloud")
    assert find_emulator() is None
    (tmp_path / "sdk" / "platform" / "bigtable-emulator").mkdir(parents=True)
    inside = tmp_path / "sdk" / "platform" / "bigtable-emulator" / "cbtemulator"
    inside.symlink_to(program)
    assert find_emulator() == inside


def _transient() -> list[type[Exception]]:
    """What a client has to try again, as google-cloud-bigtable wants it to be told."""
    return [
        exceptions.ServiceUnavailable,
        exceptions.DeadlineExceeded,
        exceptions.Aborted,
        exceptions.ResourceExhausted,
        exceptions.InternalServerError,
    ]
