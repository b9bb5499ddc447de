"""The Bigtable store: requests laid out by `mutate_rows`, sent over the official client's channel.

Every entry's status is read. Entries that failed for a reason that passes, and entries that were not
answered, are sent again, and nothing else; a reason that does not pass ends the write with the row's key.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from google.api_core.exceptions import GoogleAPICallError, NotFound, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigtable
from google.cloud.bigtable import column_family, row_filters
from google.cloud.bigtable_v2.types import MutateRowsResponse
from google.cloud.environment_vars import BIGTABLE_EMULATOR

from beam_ingest.errors import StoreError
from beam_ingest.format.table import FAMILIES, Cells, ColumnName
from beam_ingest.stores.base import Cell, Row, Store, StoredCell, WriteReport
from beam_ingest.stores.filters import columns_filter, row_set
from beam_ingest.stores.flow import FEATURES, limiter_of
from beam_ingest.stores.mutate_rows import Batch, encode_batches, encode_head
from beam_ingest.stores.read_values import read_values

REQUEST_ENTRIES = 10_000
"""Entries in a request; each has one mutation, and Bigtable takes 100,000 of those. Fewer let several
requests of one write go side by side; from 5,000 on, their number costs nothing."""
REQUEST_BYTES = 2 << 20
"""About the size of a request: small enough that several in flight do not fill a worker."""
IN_FLIGHT = 4
VALUE_BYTES = 100 << 20
"""The largest value that Bigtable takes in one cell,"""
ROW_BYTES = 256 << 20
"""and the most in one row."""
_NOTICED_BYTES = 1 << 20
"""Cells up to this size cannot make a row too large: there are few columns."""
WRITE_SECONDS = 600.0
"""How long entries are tried again without a single one getting through, before the bundle fails; time
that the server paces us does not count."""
_CALL_SECONDS = 120.0
_FAR_APART_SECONDS = 1.0
"""Requests paced to such intervals go one by one: one whose answer is not read while others wait for their
turn would pass its deadline."""
_BACKOFF_SECONDS = (0.02, 30.0)
_METHOD = "/google.bigtable.v2.Bigtable/MutateRows"
_UNANSWERED = -1

_PASSING = {
    code.value[0]: code.name
    for code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,  # how a reset stream looks
    )
}
_OVERLOADED = {
    code.value[0]
    for code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
}
"""What a call of an overloaded server ends with."""
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode} | {_UNANSWERED: "UNANSWERED"}
_parse = MutateRowsResponse.pb(MutateRowsResponse()).FromString


@lru_cache(maxsize=8)
def _all_done(entries: int) -> bytes:
    """What a server answers when every entry is written, in order: known beforehand, so not worth parsing."""
    answer = MutateRowsResponse.pb(MutateRowsResponse())
    for index in range(entries):
        answer.entries.add(index=index).status.SetInParent()
    return bytes(answer.SerializeToString())


class BigtableStore(Store):
    """A graph in a Bigtable table.

    Args:
      project: the Google Cloud project.
      instance: the Bigtable instance.
      table: the table.
      app_profile: how requests are routed; "" for the instance's default.
    """

    shared = True

    def __init__(self, project: str, instance: str, table: str, app_profile: str = "") -> None:
        self._names = (project, instance, table)
        self._app_profile = app_profile
        self._client: Any = None
        self._table: Any = None
        self._call: Any = None
        self._given_up = threading.Event()
        self._limiter = limiter_of(project, instance, table, app_profile)

    @property
    def place(self) -> str:
        emulator = os.environ.get(BIGTABLE_EMULATOR)
        return "bigtable:{}/{}/{}".format(*self._names) + (f" (emulator at {emulator})" if emulator else "")

    def exists(self) -> bool:
        with self._errors("looked up"):
            return bool(self._open().exists())

    def create(self, splits: Sequence[bytes] = ()) -> None:
        rules = {
            family.name: column_family.MaxVersionsGCRule(family.max_versions)
            if family.max_versions is not None
            else column_family.MaxAgeGCRule(family.max_age)
            if family.max_age is not None
            else None
            for family in FAMILIES
        }
        with self._errors("created"):
            self._open().create(initial_split_keys=list(splits), column_families=rules)

    @property
    def removal_command(self) -> str:
        project, instance, table = self._names
        return f"gcloud bigtable tables delete {table} --instance={instance} --project={project}"

    def check_removable(self) -> None:
        with self._errors("looked up"):
            try:
                found = self._open().list_column_families()
            except NotFound:
                return
        others = sorted(set(found) - {family.name for family in FAMILIES})
        if others:
            raise StoreError(
                f"{self.place}: it is not removed: besides a graph it has the column families "
                f"{', '.join(others)}; choose another graph id, or remove it with `{self.removal_command}`"
            )

    def drop(self) -> None:
        self.check_removable()
        with self._errors("removed"):
            try:
                self._open().delete()
            except NotFound:
                return

    def write(self, cells: Cells, timestamp: int) -> WriteReport:
        self._refuse_too_large(cells)
        self._open()
        report = WriteReport()
        pending = list(encode_batches(cells, timestamp, REQUEST_ENTRIES, REQUEST_BYTES))
        give_up = math.inf
        pause = _BACKOFF_SECONDS[0]
        while pending:
            tried, throttled_ms = sum(map(len, pending)), report.throttled_ms
            failed = self._send(pending, report)
            if not failed:
                break
            pending = [batch for batch, _ in failed]
            if give_up == math.inf or sum(map(len, pending)) < tried:
                give_up = time.monotonic() + WRITE_SECONDS
            else:
                give_up += (report.throttled_ms - throttled_ms) / 1000
            if time.monotonic() >= give_up:
                raise self._failure(*failed[0], f"{WRITE_SECONDS:.0f} s of retries are used up")
            # Jitter, so that workers that failed together do not come back together.
            if self._given_up.wait(pause * random.uniform(0.5, 1.5)):
                raise self._failure(*failed[0], "the write was given up")
            pause = min(2 * pause, _BACKOFF_SECONDS[1])
        return report

    def _send(self, batches: list[Batch], report: WriteReport) -> list[tuple[Batch, int]]:
        """Send every batch once; gives the entries to send again, with one code each batch."""
        failed = []
        calls: list[tuple[Batch, Any, float]] = []
        for batch in batches:
            while len(calls) == IN_FLIGHT or (calls and self._limiter.interval > _FAR_APART_SECONDS):
                failed += self._receive(*calls.pop(0), report)
            report.throttled_ms += 1000 * self._limiter.wait()
            report.requests += 1
            calls.append((batch, self._start(batch), time.monotonic()))
        for call in calls:
            failed += self._receive(*call, report)
        return failed

    def _start(self, batch: Batch) -> Any:
        project, instance, table = self._names
        name = f"projects/{project}/instances/{instance}/tables/{table}"
        routing = f"table_name={name}&app_profile_id={self._app_profile}"
        return self._call(
            encode_head(name, self._app_profile) + batch.data(),
            timeout=_CALL_SECONDS,
            metadata=(("x-goog-request-params", routing), FEATURES),
        )

    def _receive(
        self, batch: Batch, call: Any, started: float, report: WriteReport
    ) -> list[tuple[Batch, int]]:
        """Read a call's answers; gives the entries to send again by code.

        Raises:
          StoreError: when an entry, or the call, failed for a reason that does not pass.
        """
        codes = np.full(len(batch), _UNANSWERED)
        answers: list[bytes] = []
        try:
            for data in call:
                answers.append(data)  # noqa: PERF402 - what came before an error counts
        except grpc.RpcError as error:
            self._read_answers(batch, answers, codes)
            code = error.code().value[0]
            left = np.flatnonzero(codes == _UNANSWERED)
            if code not in _PASSING and left.size:
                raise self._failure(batch.take(left[:1]), code, error.details()) from error
            if code in _OVERLOADED:
                self._limiter.back_off()
            codes[left] = code
        else:
            if b"".join(answers) == _all_done(len(batch)):
                codes[:] = 0
                self._limiter.adjust()
            else:
                self._read_answers(batch, answers, codes)
        report.latencies_ms.append(round(1000 * (time.monotonic() - started)))
        failed = []
        for code in np.unique(codes[codes != 0]).tolist():
            again = np.flatnonzero(codes == code)
            report.retries[_NAMES[code]] += again.size
            failed.append((batch.take(again), code))
        return failed

    def _read_answers(self, batch: Batch, answers: list[bytes], codes: npt.NDArray[np.int64]) -> None:
        """Put the code of every entry that was answered into `codes`, and adjust the rate if asked to.

        Raises:
          StoreError: when an entry failed for a reason that does not pass.
        """
        for data in answers:
            answer = _parse(data)
            indexes = [entry.index for entry in answer.entries]
            codes[indexes] = [entry.status.code for entry in answer.entries]
            for entry in answer.entries:
                if entry.status.code and entry.status.code not in _PASSING:
                    raise self._failure(
                        batch.take(np.array([entry.index])), entry.status.code, entry.status.message
                    )
            info = answer.rate_limit_info  # zeros if it is not there
            self._limiter.adjust(info.factor, info.period.seconds + info.period.nanos / 1e9)

    def _failure(self, batch: Batch, code: int, message: str | None) -> StoreError:
        key = batch.first_key().decode()
        return StoreError(f"{self.place}: row {key} cannot be written: {_NAMES.get(code, code)}: {message}")

    def _refuse_too_large(self, cells: Cells) -> None:
        rows: Counter[bytes] = Counter()
        for column in cells:
            sizes = np.diff(column.offsets)
            for at in np.flatnonzero(sizes > _NOTICED_BYTES).tolist():
                where = f"{self.place}: row {column.keys[at].decode()}"
                if sizes[at] > VALUE_BYTES:
                    raise StoreError(
                        f"{where}: {column.name.qualifier.decode()} has {sizes[at]} bytes, and Bigtable "
                        f"takes at most {VALUE_BYTES} in one cell"
                    )
                rows[bytes(column.keys[at])] += int(sizes[at])
                if rows[bytes(column.keys[at])] > ROW_BYTES:
                    raise StoreError(
                        f"{where}: it has more than the {ROW_BYTES} bytes that Bigtable takes in a row"
                    )

    def read_rows(
        self, keys: Sequence[bytes], columns: Sequence[ColumnName] | None = None
    ) -> dict[bytes, Row]:
        return dict(self._read(columns, row_set=row_set(keys))) if keys else {}

    def existing(self, keys: Sequence[bytes]) -> set[bytes]:
        return set(self._keys(row_set=row_set(keys))) if keys else set()

    def keys(self, start: bytes, end: bytes) -> Iterator[bytes]:
        return self._keys(start_key=start, end_key=end)

    def read_range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
        return self._read(start_key=start, end_key=end)

    def read_values(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
        with self._errors("read"):
            self._open()
            name = "projects/{}/instances/{}/tables/{}".format(*self._names)
            yield from read_values(self._client.table_data_client, name, self._app_profile, start, end)

    def scan(self, start: bytes, end: bytes) -> Iterator[StoredCell]:
        with self._errors("read"):
            for row in self._open().read_rows(start_key=start, end_key=end):
                for family, columns in row.cells.items():
                    for qualifier, versions in columns.items():
                        for cell in versions:
                            yield row.row_key, family, qualifier, cell.timestamp_micros, cell.value

    def delete_rows(self, keys: Iterable[bytes]) -> None:
        with self._errors("written"):
            table = self._open()
            rows = [table.direct_row(key) for key in keys]
            for row in rows:
                row.delete()
            wrong = [status for status in (table.mutate_rows(rows) if rows else []) if status.code]
            if wrong:
                raise StoreError(f"{self.place}: rows cannot be removed: {wrong[0].message}")

    def delete_range(self, start: bytes, end: bytes) -> None:
        # Not by DropRowRange: it takes prefixes alone, needs an administrator's rights, and has a quota.
        keys = self.keys(start, end)
        while some := list(islice(keys, REQUEST_ENTRIES)):
            self.delete_rows(some)

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._table = self._call = None
        self._given_up.clear()

    def give_up(self) -> None:
        self._given_up.set()

    def _keys(self, **which: Any) -> Iterator[bytes]:
        with self._errors("read"):
            one, bare = row_filters.CellsRowLimitFilter(1), row_filters.StripValueTransformerFilter(True)
            for row in self._open().read_rows(filter_=row_filters.RowFilterChain([one, bare]), **which):
                yield row.row_key

    def _read(self, columns: Sequence[ColumnName] | None = None, **which: Any) -> Iterator[tuple[bytes, Row]]:
        with self._errors("read"):
            newest = row_filters.CellsColumnLimitFilter(1)
            if columns is not None:
                newest = row_filters.RowFilterChain([newest, columns_filter(columns)])
            rows = self._open().read_rows(filter_=newest, **which)
            try:
                for row in rows:
                    cells = {
                        ColumnName(family, qualifier): Cell(found[0].value, found[0].timestamp_micros)
                        for family, columns in row.cells.items()
                        for qualifier, found in columns.items()
                    }
                    yield row.row_key, cells
            finally:
                rows.cancel()  # a caller that stops early needs no further rows

    def _open(self) -> Any:
        if self._client is None:
            project, instance, table = self._names
            with self._errors("opened"):
                # Follows BIGTABLE_EMULATOR_HOST, which `place` tells; else application default credentials.
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "Connecting to Bigtable emulator")
                    self._client = bigtable.Client(project=project, admin=True)
                    self._client.table_data_client  # noqa: B018 - it is made, and warns, when first used
                profile = self._app_profile or None
                self._table = self._client.instance(instance).table(table, app_profile_id=profile)
                channel = self._client.table_data_client.transport.grpc_channel
                self._call = channel.unary_stream(_METHOD)
        return self._table

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (GoogleAPICallError, RetryError, GoogleAuthError, grpc.RpcError) as error:
            text = " ".join(str(error).split())
            raise StoreError(f"{self.place}: the table cannot be {done}: {text}") from error

    def __getstate__(self) -> dict[str, object]:
        return {"names": self._names, "app_profile": self._app_profile}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["names"], state["app_profile"])  # type: ignore[misc]
