"""The module in terraform/: its own tests, and what they cannot say of it as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.module import SOURCE, Module, blocks, missing, sources, table

Messages = list[dict[str, Any]]


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> Module:
    if reason := missing():
        pytest.skip(reason)
    try:
        return Module(tmp_path_factory.mktemp("terraform") / "terraform")
    except ConnectionError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def schemas(module: Module) -> dict[str, Any]:
    """What the provider says of each kind of resource."""
    return module.schemas()


def errors(messages: Messages) -> list[str]:
    found = [message["diagnostic"] for message in messages if message["type"] == "diagnostic"]
    return [f"{error['summary']}: {error['detail']}" for error in found if error["severity"] == "error"]


def states(messages: Messages) -> dict[str, dict[str, Any]]:
    """The state after every run that made one, by the name of the run."""
    return {m["@testrun"]: m["test_state"] for m in messages if m["type"] == "test_state"}


def resources(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [found for found in state["root_module"]["resources"] if found["mode"] == "managed"]


def test_files_are_formatted(module: Module) -> None:
    outcome = module.run("fmt", "-check", "-recursive", "-diff", str(SOURCE))
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_the_module_is_valid(module: Module) -> None:
    outcome = module.run("validate", "-no-color")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "Warning" not in outcome.stdout


def test_other_configurations_can_call_it_with_count(module: Module, tmp_path: Path) -> None:
    """As the README shows it; Terraform refuses that of modules which configure providers themselves."""
    (text,) = re.findall(r"^  ```terraform\n(.*?)^  ```", (SOURCE / "README.md").read_text(), re.M | re.S)
    assert "count  = 1" in text
    caller = text.replace("./beam_ingest/terraform", "./terraform").replace("count  = 1", "count  = 2")
    calling = Module(tmp_path / "caller", caller + 'provider "google" {}\n')
    outcome = calling.run("validate", "-no-color")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_everything_names_its_project(schemas: dict[str, Any]) -> None:
    """A caller's provider may have another one, or none."""
    for text in sources().values():
        for kind, content in re.findall(r'^resource "(\w+)" "\w+" {\n(.*?)^}', text, re.M | re.S):
            attributes = schemas[kind]["block"]["attributes"]
            for name in {"project", "region"} & set(attributes):
                if not attributes[name].get("deprecated") and "optional" in attributes[name]:
                    assert attribute(content, name), (kind, name)


def its_own_tests_pass(tested: Messages) -> None:
    assert not errors(tested), "\n".join(errors(tested))
    (summary,) = (message["test_summary"] for message in tested if message["type"] == "test_summary")
    runs = sum(len(re.findall(r"^run ", p.read_text(), re.M)) for p in SOURCE.glob("tests/*.tftest.hcl"))
    assert (summary["status"], summary["passed"]) == ("pass", runs)


EVERYTHING = """
project                  = "my-project"
region                   = "us-central1"
owner                    = "my-lab"
bigtable_instance        = "my-instance"
create_bigtable_instance = true
nat                      = true
input_buckets            = ["my-segmentation"]
output_buckets           = ["my-edges"]
launchers                = ["group:lab@example.org"]
github_repository        = "my-lab/my-graphs"
github_owner_id          = "4242"
alert_emails             = ["ann@example.org"]
budget                   = { billing_account = "012345-6789AB-CDEF01", amount = 500 }
"""


def test_googles_own_provider_plans_everything(module: Module) -> None:
    (module.folder / "everything.tfvars").write_text(EVERYTHING)
    arguments = ("-input=false", "-refresh=false", "-no-color", "-out=plan", "-var-file=everything.tfvars")
    outcome = module.run("plan", *arguments)
    assert outcome.returncode == 0, outcome.stderr
    plan = json.loads(module.run("show", "-json", "plan").stdout)
    planned = resources(plan["planned_values"])
    text = "\n".join(sources().values())
    blocks_of_files = set(re.findall(r'^resource "(\w+)" "(\w+)" {', text, re.M))
    assert {(found["type"], found["name"]) for found in planned} == blocks_of_files
    mocked = (SOURCE / "tests" / "mocks" / "google.tfmock.hcl").read_text()
    for found in planned:
        if found["type"] == "google_service_account":
            for name in ("email", "member"):
                assert re.search(rf' {name} += "{re.escape(found["values"][name])}"\n', mocked)


def test_every_validation_refuses_with_its_message(module: Module) -> None:
    text = (SOURCE / "tests" / "refused.tftest.hcl").read_text()
    text, taken = re.subn(r"\n  expect_failures = \[.*?\]\n", "", text, flags=re.S)
    head, *runs = re.split(r'^(?=run ")', text, flags=re.M)
    assert len(runs) == taken
    # A run that fails ends its file, so each has its own.
    messages = module.test_others("refused", [head + run for run in runs])
    seen = set()
    for error in errors(messages):
        found = re.fullmatch(
            r"Invalid value for variable: (\w+): (.*)\n\n"
            r"This was checked by the validation rule at variables\.tf:(\d+),3-13\.",
            error,
        )
        assert found, error
        seen.add((found[1], int(found[3])))
    expected = set()
    name = ""
    for number, line in enumerate(sources()["variables.tf"].splitlines(), start=1):
        if opened := re.match(r'variable "(\w+)"', line):
            name = opened[1]
        elif line == "  validation {":
            expected.add((name, number))
    assert seen == expected


def grant(resource: dict[str, Any], roles: dict[str, str]) -> tuple[str, str, str]:
    """Who, on what, which role: in the words of the README's table."""
    values = resource["values"]
    kind = resource["type"].removeprefix("google_").removesuffix("_iam_member")
    assert resource["type"].endswith("_iam_member"), (
        "others take the roles of members away that stand elsewhere"
    )
    who = {
        "serviceAccount:beam-ingest-worker@my-project.iam.gserviceaccount.com": "worker",
        "serviceAccount:beam-ingest-launcher@my-project.iam.gserviceaccount.com": "launcher",
        "user:ann@example.org": "`launchers`",
        "group:lab@example.org": "`launchers`",
    }
    pool = "projects/123456789012/locations/global/workloadIdentityPools/beam-ingest-ci"
    who[f"principalSet://iam.googleapis.com/{pool}/attribute.repository/my-lab/my-graphs"] = "CI"
    on = {
        ("project", "my-project"): "project",
        ("storage_bucket", "my-project-beam-ingest-temp"): "bucket temp",
        ("storage_bucket", "my-project-beam-ingest-staging"): "bucket staging",
        ("storage_bucket", "my-project-beam-ingest-template"): "bucket template",
        ("storage_bucket", "my-segmentation"): "`input_buckets`",
        ("storage_bucket", "my-edges"): "`output_buckets`",
        ("artifact_registry_repository", "beam-ingest"): "registry",
        ("bigtable_instance", "my-instance"): "Bigtable instance",
    }
    if kind == "service_account":
        account = values["service_account_id"].removeprefix("projects/my-project/serviceAccounts/")
        where = who[f"serviceAccount:{account}"]
    else:
        keys = {
            "project": "project",
            "storage_bucket": "bucket",
            "artifact_registry_repository": "repository",
            "bigtable_instance": "instance",
        }
        where = on[kind, values[keys[kind]]]
    assert not values.get("condition")
    return who[values["member"]], where, roles.get(values["role"], f"`{values['role']}`")


def no_account_may_do_more_than_the_readme_says(tested: Messages) -> None:
    made = resources(states(tested)["roles"])
    # A custom role is told by what it allows.
    custom = {
        found["values"]["name"]: ", ".join(f"`{name}`" for name in sorted(found["values"]["permissions"]))
        for found in made
        if found["type"] == "google_project_iam_custom_role"
    }
    grants = {
        grant(found, custom)
        for found in made
        if "_iam_" in found["type"] and not re.search("_iam_(custom_role|workload_identity_)", found["type"])
    }
    rows = [tuple(row[:3]) for row in table("Who may do what")]
    assert grants == set(rows)
    assert len(rows) == len(grants)


def there_are_no_keys_no_jobs_and_no_other_accounts(tested: Messages) -> None:
    made = [(found["type"], found["name"]) for state in states(tested).values() for found in resources(state)]
    assert {name for kind, name in made if kind == "google_service_account"} == {"worker", "launcher"}
    assert not [kind for kind, _ in made if "key" in kind or "dataflow" in kind]


def everything_that_can_be_labelled_is(tested: Messages, schemas: dict[str, Any]) -> None:
    labelled = set()
    for state in states(tested).values():
        for found in resources(state):
            if found["type"] == "google_monitoring_notification_channel":
                continue  # its labels are the address
            if "labels" in schemas[found["type"]]["block"]["attributes"]:
                assert found["values"]["labels"] == state["outputs"]["labels"]["value"], found["address"]
                labelled.add(found["type"])
    assert labelled == {
        "google_artifact_registry_repository",
        "google_bigtable_instance",
        "google_storage_bucket",
    }


def everything_is_in_the_region(tested: Messages) -> None:
    placed = set()
    for state in states(tested).values():
        region = state["outputs"]["region"]["value"]
        for found in resources(state):
            values = found["values"]
            places = [values[key] for key in ("region", "location") if key in values]
            places += [cluster["zone"].rpartition("-")[0] for cluster in values.get("cluster", [])]
            assert set(places) <= {region}, found["address"]
            if places:
                placed.add(found["type"])
    assert {"google_bigtable_instance", "google_compute_subnetwork", "google_storage_bucket"} <= placed


def test_its_own_tests_and_what_they_make(module: Module, schemas: dict[str, Any]) -> None:
    """In one test, for which one process waits."""
    tested = module.test()
    its_own_tests_pass(tested)
    no_account_may_do_more_than_the_readme_says(tested)
    there_are_no_keys_no_jobs_and_no_other_accounts(tested)
    everything_that_can_be_labelled_is(tested, schemas)
    everything_is_in_the_region(tested)


def test_every_variable_is_used() -> None:
    text = "\n".join(content for file, content in sources().items() if file != "variables.tf")
    for _, name, _ in blocks("variable"):
        assert re.search(rf"\bvar\.{name}\b", text), name
    for content in re.findall(r"^locals {\n(.*?)^}", text, re.M | re.S):
        for name in re.findall(r"^  (\w+) += ", content, re.M):
            assert re.search(rf"\blocal\.{name}\b", text), name


def attribute(content: str, name: str) -> str | None:
    found = re.search(rf"^  {name} += (.*)$", content, re.M)
    return found[1] if found else None


def test_the_readme_lists_the_variables() -> None:
    expected = []
    for file, name, content in blocks("variable"):
        assert file == "variables.tf"
        default = attribute(content, "default")
        description = str(attribute(content, "description")).strip('"')
        expected.append([f"`{name}`", f"`{default}`" if default else "required", description])
    assert table("Variables") == expected


def test_the_readme_lists_the_outputs() -> None:
    expected = []
    for file, name, content in blocks("output"):
        assert file == "outputs.tf"
        expected.append([f"`{name}`", str(attribute(content, "description")).strip('"')])
    assert table("Outputs") == expected


def test_the_readmes_few_variables_are_enough(module: Module) -> None:
    (few,) = re.findall(r"^```hcl\n(.*?)^```", (SOURCE / "README.md").read_text(), re.M | re.S)
    (module.folder / "few.tfvars").write_text(few)
    head = (SOURCE / "tests" / "defaults.tftest.hcl").read_text().split("\nvariables {")[0]
    messages = module.test_others("few", [head + '\nrun "few" {}\n'], "-var-file=few.tfvars")
    assert errors(messages) == []
    required = [name for _, name, content in blocks("variable") if attribute(content, "default") is None]
    assert re.findall(r"^(\w+) +=", few, re.M) == required
    outputs = states(messages)["few"]["outputs"]
    # Terraform leaves out what is null.
    absent = {"workload_identity_provider"}
    assert set(outputs) == {name for _, name, _ in blocks("output")} - absent
