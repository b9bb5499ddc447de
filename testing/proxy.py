"""A gRPC proxy in front of the Bigtable emulator, which spoils MutateRows calls by a seeded plan.

All other methods pass untouched, bytes for bytes. What a plan asks for is what a client of the real
service meets sooner or later: refused calls, broken connections, half answers, single entries that
fail, slow answers, requests to slow down.
"""

from __future__ import annotations

import base64
import os
import random
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn, TypeAlias

import grpc
from google.cloud.bigtable_v2.types import FeatureFlags, MutateRowsRequest, MutateRowsResponse, Mutation

from testing.emulator import UNLIMITED
from testing.faults import OF_CALLS, OF_ENTRIES, Fault, Plan

MUTATE_ROWS = "/google.bigtable.v2.Bigtable/MutateRows"
_Request = MutateRowsRequest.pb()
_Response = MutateRowsResponse.pb()
_Flags = FeatureFlags.pb()
_Cell = Mutation.pb().SetCell

EntryName: TypeAlias = tuple[bytes, str, bytes]
"""What an entry is known by when it comes again: its row key, and the column of its first mutation."""

_DAY = 86_400.0
_BEFORE = (Fault.REFUSED, Fault.CUT_BEFORE)
_HALVES = (Fault.HALF_ERROR, Fault.HALF_CUT, Fault.HALF_END)
_WITHOUT_CUT = {
    Fault.CUT_BEFORE: Fault.REFUSED,
    Fault.CUT_AFTER: Fault.LOST,
    Fault.HALF_CUT: Fault.HALF_ERROR,
}
"""Faults that cut the connection, and what they are without it."""


@dataclass(eq=False)
class Call:
    """A MutateRows call as the proxy saw it. Times are of time.monotonic().

    Attributes:
      size: bytes of the request.
      features: the FeatureFlags message that the client sent along.
      connection: the client's end of the connection.
      names: its entries; none while the plan is harmless, which knows no entries.
      spared: whether an entry in it had met its limit of faults.
      faults: how often each fault was met, by the call or its entries.
      codes: how often the plan answered with each code, the call or its entries.
    """

    entries: int
    mutations: int
    size: int
    features: Any = field(repr=False)
    connection: str
    names: list[EntryName] = field(repr=False)
    started: float = field(default_factory=time.monotonic)
    finished: float | None = None
    spared: bool = False
    faults: Counter[Fault] = field(default_factory=Counter)
    codes: Counter[grpc.StatusCode] = field(default_factory=Counter)

    @property
    def announced(self) -> bool:
        """Whether the client announced batch write flow control: that it obeys rate_limit_info."""
        return bool(self.features.mutate_rows_rate_limit or self.features.mutate_rows_rate_limit2)


@dataclass(eq=False)
class _Verdict:
    """What shall happen to a call."""

    chance: random.Random
    code: grpc.StatusCode
    fault: Fault | None = None
    bad: set[int] = field(default_factory=set)
    refused: dict[int, grpc.StatusCode] = field(default_factory=dict)
    lost: dict[int, grpc.StatusCode] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)


class FaultyProxy:
    """The proxy, running between ``with`` and its end.

    Args:
      emulator: the address of the emulator.
      plan: what goes wrong. The attribute may be set again: it counts for calls that come after.
      workers: how many calls of all methods are handled at once; further ones wait unseen.

    Attributes:
      address: ``localhost:PORT``.
    """

    def __init__(self, emulator: str, plan: Plan | None = None, workers: int = 32) -> None:
        self.plan = plan or Plan()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._calls: list[Call] = []
        self._running: set[Call] = set()
        self._met: Counter[EntryName] = Counter()
        self._most = (0, 0)
        self._channel = grpc.insecure_channel(
            emulator,
            options=[
                *UNLIMITED,
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.initial_reconnect_backoff_ms", 10),
                ("grpc.min_reconnect_backoff_ms", 10),
                ("grpc.max_reconnect_backoff_ms", 50),
            ],
        )
        self._server = grpc.server(
            ThreadPoolExecutor(workers, "proxy"), options=[*UNLIMITED, ("grpc.so_reuseport", 0)]
        )
        self._server.add_generic_rpc_handlers([_AllMethods(self)])
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"localhost:{self._port}"

    def __enter__(self) -> FaultyProxy:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.stop(None).wait()
        self._channel.close()

    @property
    def calls(self) -> list[Call]:
        """All MutateRows calls so far, in the order of their coming."""
        with self._lock:
            return list(self._calls)

    @property
    def injected(self) -> Counter[Fault]:
        """How often each fault was met: by a call, or by an entry."""
        return sum((call.faults for call in self.calls), Counter())

    @property
    def max_in_flight(self) -> tuple[int, int]:
        """The most calls, and the most bytes of calls, that were in the proxy at once."""
        with self._lock:
            return self._most

    def forward(self, method: str, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Pass a call on to the emulator, and its answers, or its error, back."""
        left = min(context.time_remaining() or _DAY, _DAY)  # no deadline is told as one in centuries
        answers = self._channel.unary_stream(method)(request, timeout=left, metadata=_metadata(context))
        try:
            yield from answers
        except grpc.RpcError as error:
            context.set_trailing_metadata(error.trailing_metadata() or ())
            context.abort(error.code(), error.details())
        finally:
            answers.cancel()

    def mutate_rows(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """A MutateRows call, by the plan."""
        plan, message = self.plan, _Request.FromString(request)
        call = Call(
            entries=len(message.entries),
            mutations=sum(len(entry.mutations) for entry in message.entries),
            size=len(request),
            features=_features(context),
            connection=context.peer(),
            names=[] if plan.harmless else [_name(entry) for entry in message.entries],
        )
        with self._lock:
            self._calls.append(call)
            self._running.add(call)
            size = sum(running.size for running in self._running)
            self._most = (max(self._most[0], len(self._running)), max(self._most[1], size))
            verdict = self._judge(plan, call)
        try:
            if plan.harmless:
                yield from self.forward(MUTATE_ROWS, request, context)
            else:
                yield from self._spoil(plan, call, verdict, message, context)
        finally:
            self._settle(call, verdict, context.is_active())

    def _judge(self, plan: Plan, call: Call) -> _Verdict:
        """What shall happen to a call and to its entries."""
        met = [self._met[name] for name in call.names]
        chance = random.Random(f"{plan.seed} {call.names[:1]} {call.names[-1:]} {call.entries} {sum(met)}")
        verdict = _Verdict(chance, chance.choice(plan.codes))
        call.spared = any(times >= plan.limit for times in met)
        if plan.bad_row:
            verdict.bad = {at for at, name in enumerate(call.names) if plan.bad_row(name[0])}
            verdict.refused = dict.fromkeys(verdict.bad, plan.bad_code)
            if verdict.bad and plan.bad_call:
                return verdict
        if met and not call.spared:
            verdict.fault = plan.draw(chance, OF_CALLS)
        if verdict.fault is None and any(plan.rates.get(fault) for fault in OF_ENTRIES):
            for at, times in enumerate(met):
                fault = plan.draw(chance, OF_ENTRIES)
                if fault and times < plan.limit and at not in verdict.refused:
                    chosen = verdict.refused if fault is Fault.ENTRY_REFUSED else verdict.lost
                    chosen[at] = chance.choice(plan.codes)
                    call.faults[fault] += 1
        return verdict

    def _settle(self, call: Call, verdict: _Verdict, reached: bool) -> None:
        """Close a call, and keep count of the faults that each of its entries has met."""
        with self._lock:
            if call.finished is not None:
                return
            self._running.discard(call)
            call.finished = time.monotonic()
            for at, name in enumerate(call.names):
                if (reached and at in verdict.acknowledged) or at in verdict.bad:
                    self._met.pop(name, None)
                else:
                    self._met[name] += 1

    def _spoil(
        self, plan: Plan, call: Call, verdict: _Verdict, message: Any, context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        """Handle a call by its verdict."""
        chance = verdict.chance
        if verdict.bad and plan.bad_call:
            row = call.names[min(verdict.bad)][0]
            call.faults[Fault.BAD_ROW] += len(verdict.bad)
            call.codes[plan.bad_code] += 1
            context.abort(plan.bad_code, f"injected: the call has the row {row!r}")
        early = late = 0.0
        if plan.draw(chance, [Fault.SLOW]):
            early, late = chance.sample([0.0, chance.uniform(0, plan.slow_seconds)], 2)
            call.faults[Fault.SLOW] += 1
        self._stopping.wait(early)
        if verdict.fault in _BEFORE:
            self._fail(call, verdict, context)
        answers = self._apply(message, verdict, context)
        self._stopping.wait(late)
        if verdict.fault in (Fault.LOST, Fault.CUT_AFTER):
            self._fail(call, verdict, context)

        if verdict.fault in _HALVES:
            answers = sorted(chance.sample(answers, chance.randrange(len(answers))), key=lambda a: a.index)
        if plan.pieces > 1:
            chance.shuffle(answers)
        size = max(1, -(-len(answers) // plan.pieces))
        pieces = [_Response(entries=answers[at : at + size]) for at in range(0, len(answers), size)]
        if call.announced and pieces and plan.draw(chance, [Fault.RATE_LIMIT]):
            factor, period = chance.choice(plan.rate_limits)
            pieces[0].rate_limit_info.factor = factor
            pieces[0].rate_limit_info.period.FromNanoseconds(round(period * 1e9))
            call.faults[Fault.RATE_LIMIT] += 1
        injected = {**verdict.refused, **verdict.lost}
        call.faults.update(Fault.BAD_ROW for answer in answers if answer.index in verdict.bad)
        call.codes.update(injected[answer.index] for answer in answers if answer.index in injected)
        for piece in pieces:
            verdict.acknowledged.update(entry.index for entry in piece.entries if entry.status.code == 0)
            yield piece.SerializeToString()
        if verdict.fault is Fault.HALF_END:
            call.faults[verdict.fault] += 1
        elif verdict.fault:
            self._fail(call, verdict, context)

    def _apply(self, message: Any, verdict: _Verdict, context: grpc.ServicerContext) -> list[Any]:
        """Send a call's entries to the emulator, but those to be refused; returns all entries' answers."""
        sent = [at for at in range(len(message.entries)) if at not in verdict.refused]
        statuses = {at: _status(code) for at, code in verdict.refused.items()}
        if statuses:
            kept = [message.entries[at] for at in sent]
            del message.entries[:]
            message.entries.extend(kept)
        if sent or not statuses:
            for piece in self.forward(MUTATE_ROWS, message.SerializeToString(), context):
                answer = _Response.FromString(piece)
                statuses.update((sent[entry.index], entry.status) for entry in answer.entries)
        statuses.update((at, _status(code)) for at, code in verdict.lost.items())
        return [_Response.Entry(index=at, status=statuses[at]) for at in sorted(statuses)]

    def _fail(self, call: Call, verdict: _Verdict, context: grpc.ServicerContext) -> NoReturn:
        """End a call with the error of its verdict, or by cutting its connection.

        A cut hits other calls on the connection too. Where one is to be spared, an error does instead.
        """
        assert verdict.fault is not None
        with self._lock:
            if any(other.spared for other in self._running if other.connection == call.connection):
                verdict.fault = _WITHOUT_CUT.get(verdict.fault, verdict.fault)
            call.faults[verdict.fault] += 1
            call.codes[verdict.code] += 1
        # First the account, as a client may come again at once. What is sent before a cut may be lost.
        self._settle(call, verdict, reached=verdict.fault not in _WITHOUT_CUT)
        if verdict.fault in _WITHOUT_CUT:
            _cut_connection(self._port, int(call.connection.rsplit(":", 1)[1]))
        context.abort(verdict.code, f"injected: {verdict.fault.value}")


class _AllMethods(grpc.GenericRpcHandler):
    """Takes every method as one with a stream of answers: a single answer looks the same on the wire."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self._proxy = proxy

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        forward = partial(self._proxy.forward, details.method)
        return grpc.unary_stream_rpc_method_handler(
            self._proxy.mutate_rows if details.method == MUTATE_ROWS else forward
        )


def _name(entry: Any) -> EntryName:
    cell = entry.mutations[0].set_cell if entry.mutations else _Cell()
    return entry.row_key, cell.family_name, cell.column_qualifier


def _status(code: grpc.StatusCode) -> Any:
    return _Response.Entry(status={"code": code.value[0], "message": f"injected: {code.name}"}).status


def _metadata(context: grpc.ServicerContext) -> list[tuple[str, str | bytes]]:
    """What the client sent along, but what gRPC itself adds."""
    return [(k, v) for k, v in context.invocation_metadata() if not k.startswith(("grpc-", "user-agent"))]


def _features(context: grpc.ServicerContext) -> Any:
    sent = dict(context.invocation_metadata()).get("bigtable-features", "")
    return _Flags.FromString(base64.urlsafe_b64decode(sent + "=" * (-len(sent) % 4)))


def _cut_connection(server: int, client: int) -> None:
    """Shut a connection of this process, given the ports of its two ends: gRPC has no way to ask for it."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # files come and go
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                with socket.socket(fileno=os.dup(int(name))) as found:
                    if (found.getsockname()[1:2], found.getpeername()[1:2]) == ((server,), (client,)):
                        found.shutdown(socket.SHUT_RDWR)
