"""What Terraform made, as Make and CI hand it on: ``terraform output -json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.file_kind import open_regular


@dataclass(frozen=True)
class Settings:
    """Where Dataflow jobs run. The names are those of Terraform's outputs.

    Attributes:
      project: Google Cloud project of the jobs.
      region: where they run.
      subnetwork: of the workers, ``regions/REGION/subnetworks/NAME`` or a full URL.
      temp_location: folder of Cloud Storage for a job's temporary files.
      staging_location: folder of Cloud Storage for what jobs are made of.
      template_location: the flex template's file in Cloud Storage.
      worker_service_account: e-mail of the account that launcher and workers run as.
      launcher_service_account: e-mail of the account that people and CI launch jobs as.
      bigtable_project: project of the Bigtable instance.
      bigtable_instance: where graphs go when neither ``--store`` nor the dataset file says.
      labels: of everything that costs.
    """

    project: str
    region: str
    subnetwork: str
    temp_location: str
    staging_location: str
    template_location: str
    worker_service_account: str
    launcher_service_account: str
    bigtable_project: str
    bigtable_instance: str
    labels: Mapping[str, str]

    @classmethod
    def from_file(cls, path: str | Path) -> Settings:
        """Read what ``terraform output -json`` wrote to `path`.

        Raises:
          ConfigError: when it is not there or not whole.
        """
        advice = "run terraform apply, then make settings"
        try:
            with open(path, encoding="utf-8", opener=open_regular) as file:
                content = json.load(file)
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file; {advice}") from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: expected the output of terraform output -json: {error}") from None
        values: dict[str, Any] = {}
        for field in fields(cls):
            output = content.get(field.name) if isinstance(content, dict) else None
            value = output.get("value") if isinstance(output, dict) else None
            if not value or not isinstance(value, dict if field.name == "labels" else str):
                raise ConfigError(f"{path}: the output {field.name} is missing; {advice}")
            values[field.name] = value
        return cls(**values)

    def store_option(self, dataset: Dataset, option: str | None) -> str | None:
        """``--store``, or the instance that Terraform knows when neither it nor the dataset names one."""
        if option is not None or names_store(dataset):
            return option
        return f"bigtable:{self.bigtable_project}/{self.bigtable_instance}"


def names_store(dataset: Dataset) -> bool:
    """Whether the dataset file, with the environment, says where a graph is."""
    if dataset.backend_type == "bigtable":
        return all(
            dataset.backend_config.get(key) or os.environ.get(f"BIGTABLE_{key}")
            for key in ("PROJECT", "INSTANCE")
        )
    return dataset.backend_type is not None
