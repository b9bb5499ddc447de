"""Prices: the table of the package, files of prices, and what a plan makes of them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from beam_ingest.errors import ConfigError
from beam_ingest.plan.prices import DAY, REGIONS, billable_shuffle, price_list
from tests.conftest import Cli
from tests.plan.graphs import plan

NAMES = [price.name for price in price_list("us-central1").prices.values()]


@pytest.mark.parametrize("region", REGIONS)
def test_every_price_has_a_page_and_a_day(region: str) -> None:
    listed = price_list(region)
    for price in listed.prices.values():
        assert price.page.startswith("https://cloud.google.com/")
        assert date.fromisoformat(price.day) <= date.fromisoformat(DAY)
        assert price.price > 0


def test_dataflow_prices_are_those_that_beam_computes_with() -> None:
    """Apache Beam's own benchmarks cost their jobs in us-central1."""
    from apache_beam.testing.load_tests import dataflow_cost_consts as beam

    listed = price_list("us-central1")
    assert listed.cost("dataflow_vcpu", 1) == beam.VCPU_PER_HR_BATCH
    assert listed.cost("dataflow_memory", 1) == beam.MEM_PER_GB_HR_BATCH
    assert listed.cost("dataflow_shuffle", 1) == beam.SHUFFLE_PER_GB_BATCH


def test_shuffle_is_cheaper_at_first() -> None:
    assert [billable_shuffle(gigabytes) for gigabytes in (100, 250, 5120, 6120)] == [25, 62.5, 2497.5, 3497.5]


def write(path: Path, **changes: object) -> Path:
    prices = dict.fromkeys(NAMES, 1.0) | changes
    path.write_text(json.dumps({"day": "2026-01-02", "regions": {"mars-1": prices}}))
    return path


def test_a_file_of_prices(cli: Cli, dataset: Path, tmp_path: Path) -> None:
    prices = write(tmp_path / "prices.yml")
    found = plan(cli, dataset, "--region", "mars-1", "--prices", str(prices), "--nodes", "3")
    assert (found["prices"]["region"], found["prices"]["day"]) == ("mars-1", "2026-01-02")
    (option,) = found["clusters"]
    # An hour of three nodes, and a tenth of an hour of one worker: 4 vCPUs and 16 GB.
    assert option["dollars"]["expected"] == pytest.approx(3 + 0.1 * (4 + 16), rel=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bigtable_node": "cheap"}, "bigtable_node: expected US dollars, found cheap"),
        ({"bigtable_node": -1}, "bigtable_node: expected US dollars, found -1"),
        ({"bigtable_disk": 1}, "found others in bigtable_disk"),
    ],
)
def test_a_wrong_file_of_prices(
    cli: Cli, dataset: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    prices = write(tmp_path / "prices.yml", **changes)
    line = cli.refused("plan", dataset, "--region", "mars-1", "--prices", prices)
    assert line.startswith(f"{prices}: mars-1: ")
    assert message in line


def test_a_file_without_the_region_or_a_day(tmp_path: Path) -> None:
    prices = write(tmp_path / "prices.yml")
    with pytest.raises(ConfigError, match="expected the prices of mars-2, found none"):
        price_list("mars-2", str(prices))
    prices.write_text("regions: {}")
    with pytest.raises(ConfigError, match="expected the day of the prices"):
        price_list("mars-1", str(prices))
    with pytest.raises(ConfigError, match="No such file"):
        price_list("mars-1", str(tmp_path / "none.yml"))
