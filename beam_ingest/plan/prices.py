"""List prices of Google Cloud, with the page that has them and the day on which they were noted.

The table knows the regions below, whose list prices are the same: what one pays without a contract, in US
dollars. Dataflow's are those that Apache Beam's own cost benchmarks have; those of Bigtable and Cloud Storage
are as documentation quotes their pages. They may have changed, so money is always shown with the day. Others
come from a file (``--prices``), in the format of `read_prices`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from beam_ingest import document
from beam_ingest.errors import ConfigError
from beam_ingest.file_kind import open_regular

DAY = "2026-11-25"
"""When the table was made."""
_DATAFLOW = "https://cloud.google.com/dataflow/pricing"
_BIGTABLE = "https://cloud.google.com/bigtable/pricing"
_STORAGE = "https://cloud.google.com/storage/pricing"
REGIONS = ("us-central1", "us-east1", "us-west1")
"""Regions of the table; CAVE's services run in the last two."""
DEFAULT_REGION = "us-central1"


@dataclass(frozen=True)
class Price:
    """What one unit costs.

    Attributes:
      name: what it is for, as in a price file.
      unit: of what.
      price: US dollars a unit.
      page: where the price is from.
      day: when it was noted.
    """

    name: str
    unit: str
    price: float
    page: str
    day: str


_UNITS = {
    "dataflow_vcpu": "vCPU hour of a batch worker",
    "dataflow_memory": "GB hour of a batch worker",
    "dataflow_shuffle": "billable GB of Dataflow Shuffle",
    "bigtable_node": "node hour",
    "bigtable_ssd": "GB month on SSD",
    "storage_read": "1,000 reads of objects (class B operations)",
    "storage_write": "1,000 writes or listings (class A operations)",
}
"""Every price that there is to know, and its unit."""
_LISTED = {
    "dataflow_vcpu": (0.056, _DATAFLOW),
    "dataflow_memory": (0.003557, _DATAFLOW),
    "dataflow_shuffle": (0.011, _DATAFLOW),
    "bigtable_node": (0.65, _BIGTABLE),
    "bigtable_ssd": (0.17, _BIGTABLE),
    "storage_read": (0.0004, _STORAGE),
    "storage_write": (0.005, _STORAGE),
}


@dataclass(frozen=True)
class PriceList:
    """The prices of one region.

    Attributes:
      region: the region.
      day: the earliest day on which one of them was noted.
      prices: by name.
    """

    region: str
    day: str
    prices: Mapping[str, Price]

    def cost(self, name: str, count: float) -> float:
        """US dollars for so many units."""
        return self.prices[name].price * count

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "region": self.region,
            "currency": "USD",
            "day": self.day,
            "list": [vars(price) for price in self.prices.values()],
        }


def price_list(region: str, path: str | None = None) -> PriceList:
    """The prices of a region.

    Args:
      region: the region.
      path: a file of prices that take the place of the table's.

    Raises:
      ConfigError: when neither has them.
    """
    if path is not None:
        return read_prices(path, region)
    if region not in REGIONS:
        raise ConfigError(
            f"--region {region}: the price table has {', '.join(REGIONS)}; --prices FILE gives others"
        )
    listed = {name: Price(name, _UNITS[name], price, page, DAY) for name, (price, page) in _LISTED.items()}
    return PriceList(region, DAY, listed)


def read_prices(path: str, region: str) -> PriceList:
    """The prices of a region in a YAML or JSON file.

    The file has a ``day`` (YYYY-MM-DD) and ``regions``: by name of region, US dollars by name of price, and
    optionally the ``page`` that they are from. Names are those of the table.

    Raises:
      ConfigError: when it has not all of them, or others.
    """
    try:
        with open(path, encoding="utf-8", errors="replace", opener=open_regular) as file:
            content = document.parse(file.read(document.MOST_CHARACTERS + 1), path)
    except OSError as error:
        raise ConfigError(f"--prices {path}: {error.strerror}") from None
    day, regions = (content.get("day"), content.get("regions")) if isinstance(content, dict) else (None, None)
    try:
        day = date.fromisoformat(str(day)).isoformat()
    except ValueError:
        raise ConfigError(f"{path}: day: expected the day of the prices, YYYY-MM-DD, found {day}") from None
    found = regions.get(region) if isinstance(regions, dict) else None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: regions: expected the prices of {region}, found none")
    page = str(found.get("page", path))
    given = {name: value for name, value in found.items() if name != "page"}
    if given.keys() != _UNITS.keys():
        differ = sorted(map(str, given.keys() ^ _UNITS.keys()))
        raise ConfigError(
            f"{path}: {region}: expected {', '.join(_UNITS)}, found others in {', '.join(differ)}"
        )
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise ConfigError(f"{path}: {region}: {name}: expected US dollars, found {value}")
    listed = {name: Price(name, unit, float(given[name]), page, day) for name, unit in _UNITS.items()}
    return PriceList(region, day, listed)


def billable_shuffle(gigabytes: float) -> float:
    """Gigabytes of Dataflow Shuffle that are paid for: a quarter of the first 250, half of the next 4,870.

    Source: https://cloud.google.com/dataflow/pricing, "Dataflow Shuffle pricing adjustment".
    """
    first, second = min(gigabytes, 250.0), min(max(gigabytes - 250.0, 0.0), 4870.0)
    return first / 4 + second / 2 + max(gigabytes - 5120.0, 0.0)
