"""What ``status --watch`` says of the speed."""

from __future__ import annotations

from beam_ingest.cli.progress_lines import Speed
from beam_ingest.stages.progress import Counts, LayerStatus


def layers(*done: int, nbytes: int = 0) -> list[LayerStatus]:
    totals = (1000, 125, 1)
    return [
        LayerStatus(layer, n, total, Counts(nbytes=nbytes), 0)
        for layer, (n, total) in enumerate(zip(done, totals, strict=True), start=2)
    ]


def test_rate_and_time_left_of_the_layer_that_is_built() -> None:
    speed = Speed()
    assert speed.of(layers(100, 0, 0), 50.0) == {}
    assert speed.of(layers(150, 0, 0, nbytes=2_500_000), 60.0) == {
        2: "5.0 chunks/s, 0:02:50 left, 2.5 MB written"
    }
    assert speed.of(layers(1000, 0, 0), 61.0) == {}  # done: nothing is left
    assert speed.of(layers(1000, 25, 0), 100.0) == {3: "0.5 chunks/s, 0:03:20 left, 0 B written"}


def test_rates_are_of_the_last_minute() -> None:
    speed = Speed()
    for second in range(0, 3600, 10):
        said = speed.of(layers(min(second, 300), 0, 0), second)
        if second <= 300:
            assert said == ({2: f"1.0 chunks/s, {_clock(1000 - second)} left, 0 B written"} if second else {})
        if second > 360:
            assert said == {}  # it stands still


def _clock(seconds: int) -> str:
    return f"0:{seconds // 60:02d}:{seconds % 60:02d}"
