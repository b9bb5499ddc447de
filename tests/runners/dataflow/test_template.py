"""The flex template: its metadata, its image, and its launcher as the container runs it."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from google.cloud.dataflow import Job

from beam_ingest.cli import arguments, options, template
from beam_ingest.cli.stages import stages
from beam_ingest.errors import ConfigError
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.gcloud import Gcloud
from tests.runners.dataflow.jobs import (
    BUCKET,
    IMAGE,
    PROJECT,
    REGION,
    SETTINGS,
    WORKER,
    children,
    exists,
    posted_pipeline,
)
from tests.runners.dataflow.service import DataflowEndpoint
from tests.runners.dataflow.storage import StorageEmulator

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "templates" / "Dockerfile").read_text()


def make(*words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, **(environment or {}), "DATAFLOW_SETTINGS": json.dumps(SETTINGS)}
    given.pop("MAKEFLAGS", None)
    command = ["make", "--no-print-directory", f"VENV={sys.prefix}", "-o", "install", *words]
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=300)


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what they say, in order."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2]) for line in text.splitlines() if line.strip()]


def test_the_parameters_are_the_options_of_the_stages() -> None:
    """Told by the help that a user reads, not by the parser that the metadata are made from."""
    helps = [arguments.command_parser(name).format_help() for name in stages()]
    text = "\n".join(helps)
    options = {name[2:].replace("-", "_") for name in re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE)}
    positionals = [set(re.findall(r"^  (GRAPH_ID|DATASET\.yml)", text, re.MULTILINE)) for text in helps]
    assert set.union(*positionals) == {"GRAPH_ID", "DATASET.yml"}
    assert set.intersection(*positionals) == {"DATASET.yml"}, "prepare takes no graph"
    parameters = {p["name"]: p for p in template.metadata()["parameters"]}
    assert set(parameters) == options | {"graph_id", "dataset", "stage"}
    assert parameters.pop("stage")["isOptional"]
    for name, parameter in parameters.items():
        assert set(parameter) == {"name", "label", "helpText", "isOptional", "regexes"}
        assert parameter["isOptional"] == (name != "dataset")
        assert parameter["label"]
        assert " ".join(parameter["helpText"].split()[:2]) in " ".join(text.split())


def _add_masks_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_stage(parser)
    parser.add_argument("--mip", type=int, default=0, help="resolution level")


@pytest.fixture
def another_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second stage: an entry in the registry, and its module."""
    module = types.ModuleType("beam_ingest.cli.masks")
    vars(module)["add_arguments"] = _add_masks_arguments
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(arguments.COMMANDS, "masks", arguments.Command("make masks", is_stage=True))


def test_another_stage_is_a_parameter_of_the_same_template(
    another_stage: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {p["name"]: p for p in template.metadata()["parameters"]}
    assert found["stage"]["regexes"] == [f"^({'|'.join(stages())})$"]
    assert {"graph", "prepare", "masks"} <= set(stages())
    assert {"mip", "raw", "graph_id"} <= set(found)
    launch = ["launch", "g", "gs://b/d.yml", "--stage=masks", "--mip=2", "--test"]
    _, given = arguments.parse(launch)
    sent = {"stage": "masks", "graph_id": "g", "dataset": "gs://b/d.yml", "mip": "2", "test": "true"}
    assert template.parameters(given) == sent
    _, given = arguments.parse([*launch, "--raw"])
    with pytest.raises(ConfigError, match=r"^--stage masks: unknown option --raw$"):
        template.parameters(given)
    ran: list[list[str]] = []
    monkeypatch.setattr(template, "cli_main", lambda argv: ran.append(argv) or 0)
    assert template.main([f"--{name}={value}" for name, value in sent.items()]) == 0
    assert template.main(["--graph_id=g", "--dataset=gs://b/d.yml"]) == 0
    assert template.main(["--stage=prepare", "--graph_id=g", "--dataset=gs://b/d.yml"]) == 0
    assert ran == [
        ["masks", "g", "gs://b/d.yml", "--test", "--mip=2"],
        ["graph", "g", "gs://b/d.yml"],
        ["prepare", "gs://b/d.yml"],
    ]


def test_an_unknown_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Commands that are no stages are none."""
    for name in ("masks", "check"):
        assert template.main([f"--stage={name}", "--graph_id=g", "--dataset=gs://b/d.yml"]) == 2
        assert (
            capsys.readouterr().err
            == f"beam-ingest: unknown stage {name}; expected {' or '.join(stages())}\n"
        )


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("graph_id", "minnie65_v1", "-x"),
        ("dataset", "gs://bucket/d.yml", "/tmp/d.yml"),
        ("store", "bigtable:p/i", "sqlite:/tmp/x"),
        ("raw", "true", "yes"),
        ("stage", "graph", "check"),
        ("graph_version", "2", "4"),
        ("bigtable_tablets", "10", "ten"),
        ("bigtable_app_profile", "batch", ""),
    ],
)
def test_regexes(name: str, good: str, bad: str) -> None:
    (rule,) = next(p["regexes"] for p in template.metadata()["parameters"] if p["name"] == name)
    assert re.fullmatch(rule, good)
    assert not re.fullmatch(rule, bad)


@pytest.mark.slow
def test_gcloud_takes_the_template(gcloud: Gcloud, storage: StorageEmulator, tmp_path: Path) -> None:
    """``make template`` but for the image, which takes a docker engine: the file is where launches look."""
    settings = tmp_path / "build" / "settings.json"
    made = make("settings", f"SETTINGS={settings}")
    assert (made.returncode, json.loads(settings.read_text())) == (0, SETTINGS)
    made = make(
        "-o", "image", "template", f"SETTINGS={settings}", "TAG=1", environment=dict(gcloud.environment)
    )
    assert made.returncode == 0, made.stderr
    built = json.loads(storage.read(f"gs://{BUCKET}/templates/beam_ingest.json"))
    assert json.loads(storage.read(f"gs://{BUCKET}/templates/beam_ingest-1.json")) == built
    assert built["image"] == IMAGE
    assert built["sdkInfo"] == {"language": "PYTHON"}
    assert built["metadata"] == template.metadata()
    metadata = tmp_path / "metadata.json"
    metadata.write_text(json.dumps(template.metadata()))
    printed = gcloud.done(
        *("dataflow", "flex-template", "build", f"gs://{BUCKET}/x.json", f"--image={IMAGE}"),
        *("--sdk-language=PYTHON", f"--metadata-file={metadata}", "--print-only", f"--project={PROJECT}"),
    )
    assert json.loads(yaml.safe_load(printed))["metadata"] == template.metadata()


def test_image_and_template_have_one_tag(tmp_path: Path) -> None:
    """Of a dirty tree it names the second: that of the template was another than the image's."""
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\necho x >> {tmp_path / 'calls'}\necho tag-$(wc -l < {tmp_path / 'calls'})\n")
    fake.chmod(0o755)
    path = {"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}"}
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(SETTINGS))
    made = make("-n", "-o", "settings", "template", f"SETTINGS={settings}", environment=path)
    assert made.returncode == 0, made.stderr
    image = IMAGE.rpartition(":")[0]
    assert set(re.findall(f"{image}:([\\w-]+)", made.stdout)) == {"tag-1"}
    assert "beam_ingest-tag-1.json" in made.stdout


@pytest.mark.slow
def test_rolling_back_to_an_earlier_template(
    gcloud: Gcloud, storage: StorageEmulator, tmp_path: Path
) -> None:
    settings = f"SETTINGS={tmp_path / 'settings.json'}"
    storage.write(f"gs://{BUCKET}/templates/beam_ingest-v1.json", b"first")
    storage.write(f"gs://{BUCKET}/templates/beam_ingest.json", b"second")
    made = make("rollback", settings, "TAG=v1", environment=dict(gcloud.environment))
    assert made.returncode == 0, made.stderr
    assert storage.read(f"gs://{BUCKET}/templates/beam_ingest.json") == b"first"
    assert make("rollback", settings, "TAG=v0", environment=dict(gcloud.environment)).returncode != 0
    assert storage.read(f"gs://{BUCKET}/templates/beam_ingest.json") == b"first"


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("builder", "program", "asked"), [("cloud", "gcloud", "builds submit"), ("docker", "docker", "build ")]
)
@pytest.mark.parametrize("there", [True, False])
def test_an_image_that_exists_is_not_built_again(
    tmp_path: Path, builder: str, program: str, asked: str, there: bool
) -> None:
    """Its tag does not move, so that a second push would fail after minutes."""
    commands = tmp_path / "commands"
    looked = {"gcloud": "artifacts docker images describe", "docker": "manifest inspect"}[program]
    fake = tmp_path / "bin" / program
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {commands}\ncase "$*" in "{looked}"*) exit {int(not there)};; esac\n'
    )
    fake.chmod(0o755)
    path = {"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}"}
    made = make("image", f"SETTINGS={tmp_path / 's.json'}", f"BUILDER={builder}", "TAG=1", environment=path)
    assert made.returncode == 0, made.stderr
    lines = commands.read_text().splitlines()
    assert lines[0].startswith(f"{looked} {IMAGE}")
    assert any(line.startswith(asked) for line in lines) != there
    if not there:
        assert f"{'--region=us-central1' if builder == 'cloud' else '--platform=linux/amd64'}" in lines[1]


@pytest.mark.slow
def test_the_image_is_built_with_the_versions_of_the_tests(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    make("settings", f"SETTINGS={settings}")
    beam = importlib.metadata.version("apache-beam")
    python = "{}.{}".format(*sys.version_info)
    for builder in ("docker", "cloud"):
        said = make(
            "-n", "-o", "settings", "image", f"SETTINGS={settings}", f"BUILDER={builder}", "TAG=1"
        ).stdout
        assert f"BEAM_VERSION={beam}" in said
        assert f"PYTHON_VERSION={python}" in said
        assert f"IMAGE={IMAGE}" in said
    bases = [text.partition(" AS ")[0] for name, text in instructions() if name == "FROM"]
    assert bases[0] == "apache/beam_python${PYTHON_VERSION}_sdk:${BEAM_VERSION}"
    assert bases[2] == "python:${PYTHON_VERSION}-slim"
    assert not any(base.endswith(":latest") or ":" not in base for base in bases)
    declared = {text for name, text in instructions() if name == "ARG"}
    assert declared == {"PYTHON_VERSION", "BEAM_VERSION", "IMAGE"}  # no version of its own
    steps = yaml.safe_load((ROOT / "templates" / "cloudbuild.yaml").read_text())["steps"]
    given = {word.partition("=")[2].partition("=")[0] for word in steps[0]["args"] if "build-arg" in word}
    assert given == declared


def test_the_dockerfile_is_clean() -> None:
    program = Path(sys.executable).parent / "hadolint"
    checked = subprocess.run([program, ROOT / "templates" / "Dockerfile"], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_switches_reach_beam_as_dataflow_hands_them_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Options of a launch come as ``name=value``, switches too."""
    given = ["--enable_hot_key_logging=true", "--number_of_worker_harness_threads=4", "--no_use_public_ips"]
    known = ["--enable_hot_key_logging", "--number_of_worker_harness_threads=4", "--no_use_public_ips"]
    assert template._known([*given, "--of_tomorrow=true"]) == known
    assert "--of_tomorrow=true" in capsys.readouterr().err


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the image would have in /template, and its Python: the Dockerfile's own steps."""
    folder = tmp_path_factory.mktemp("container")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    beam = importlib.metadata.version("apache-beam")
    for name, text in instructions():
        if name == "COPY" and not text.startswith("--from"):
            *sources, target = text.split()
            for source in sources:
                into = folder / target if target != "./" else folder / Path(source).name
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, into)
        if name == "RUN":
            path = f"{folder / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
            environment = {**os.environ, "PATH": path, "BEAM_VERSION": beam, "PYTHONPATH": ""}
            ran = subprocess.run(
                ["sh", "-c", text], cwd=folder, env=environment, capture_output=True, text=True
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
    yield folder
    shutil.rmtree(folder)


def test_the_launcher_builds_the_job_and_returns(
    container: Path,
    remote: Path,
    graph_id: str,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
) -> None:
    """As the container runs it: parameters by the template's names, options as the launcher gives them."""
    shutil.rmtree(container / "beam_ingest", ignore_errors=True)  # installed: the folder is not needed
    storage.write(f"gs://{BUCKET}/staging/datasets/minnie.yml", remote.read_bytes())
    file = dict(text.split("=", 1) for name, text in instructions() if name == "ENV" and "PY_FILE" in text)
    (launcher,) = file.values()
    place = f"gs://{BUCKET}/staging/template_launches/1/job_object"
    ran = subprocess.run(
        [
            container / "venv" / "bin" / "python",
            Path(launcher).name,
            f"--graph_id={graph_id}",
            f"--dataset=gs://{BUCKET}/staging/datasets/minnie.yml",
            "--raw=false",
            "--test=true",
            "--graph_version=2",
            "--runner=DataflowRunner",
            f"--project={PROJECT}",
            f"--region={REGION}",
            "--job_name=beam-ingest-given",
            f"--temp_location=gs://{BUCKET}/temp",
            f"--staging_location=gs://{BUCKET}/staging",
            f"--template_location={place}",
            f"--service_account_email={WORKER}",
            '--labels={"owner": "me"}',
            "--no_use_public_ips",
            "--max_num_workers=3",
            f"--dataflow_endpoint={dataflow.url}",
            "--no_auth",
            "--an_option_of_tomorrow=1",
        ],
        cwd=container,
        env={**os.environ, template.IMAGE: IMAGE, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert "--an_option_of_tomorrow=1" in ran.stderr
    assert ran.stdout.splitlines()[-1] == f"wrote the job's description to {place}"
    assert dataflow.requests == []  # Dataflow itself starts what the launcher wrote
    job = Job.from_json(storage.read(place).decode())
    assert job.name == "beam-ingest-given"
    assert job.labels["owner"] == "me"
    (pool,) = job.environment.worker_pools
    assert pool.autoscaling_settings.max_num_workers == 3
    assert [image.container_image for image in pool.sdk_harness_container_images] == [IMAGE]
    pipeline = posted_pipeline(storage, job)
    assert children(pipeline) == ["Plan", "Layer 2", "Layer 3"]  # as a test has
    assert exists(graph_id)
