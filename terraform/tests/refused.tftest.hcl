# Values that are refused before anything is made. Every validation has a case: the tests in Python, which
# run these as well, count them.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project           = "my-project"
  region            = "us-central1"
  owner             = "my-lab"
  bigtable_instance = "my-instance"
}

run "wrong_form" {
  command = plan

  variables {
    project           = "My Project"
    region            = "us-central1-b"
    owner             = "My Lab"
    name              = "My graphs"
    bigtable_instance = "projects/my-project/instances/my-instance"
    bigtable_project  = "projects/my-project"
    bigtable_nodes    = { min = 1.5, max = 3 }
    subnetwork_cidr   = "10.0.0.0"
    input_buckets     = ["gs://my-segmentation"]
    output_buckets    = ["my-edges/v1"]
    launchers         = ["ann@example.org"]
    build_region      = "us-central1-b"
    removable_tables  = "lab/*"
    alert_emails      = ["ann"]
    github_owner_id   = "my-lab"
    budget            = { billing_account = "My Account", amount = 500 }
  }

  expect_failures = [
    var.project, var.region, var.owner, var.name, var.bigtable_instance, var.bigtable_project,
    var.bigtable_nodes, var.subnetwork_cidr, var.input_buckets, var.output_buckets, var.launchers,
    var.github_owner_id, var.budget, var.build_region, var.removable_tables, var.alert_emails,
  ]
}

# These are compared with other variables, which must be sound for that.
run "wrong_form_beside_sound_values" {
  command = plan

  variables {
    bigtable_zone     = "us-central1-b"
    subnetwork        = "workers"
    github_repository = "https://github.com/my-lab/my-graphs"
    github_owner_id   = "4242"
  }

  expect_failures = [var.bigtable_zone, var.subnetwork, var.github_repository]
}

run "too_small" {
  command = plan

  variables {
    project           = "short"
    region            = "us"
    owner             = ""
    name              = "ab"
    bigtable_instance = "short"
    bigtable_nodes    = { min = 0, max = 0 }
    subnetwork_cidr   = "10.0.0.0/30"
    budget            = { billing_account = "012345-6789AB-CDEF01", amount = 0 }
  }

  expect_failures = [
    var.project, var.region, var.owner, var.name, var.bigtable_instance, var.bigtable_nodes,
    var.subnetwork_cidr, var.budget,
  ]
}

run "too_large" {
  command = plan

  variables {
    project         = "a-project-of-thirty-one-letters"
    name            = "of-twenty-two-letters-"
    bigtable_nodes  = { min = 1, max = 11 }
    subnetwork_cidr = "0.0.0.0/0"
    launchers       = ["domain:example.org"]
  }

  expect_failures = [var.project, var.name, var.bigtable_nodes, var.subnetwork_cidr, var.launchers]
}

run "other_kind" {
  command = plan

  variables {
    project         = "123456789012"
    name            = "gcp-graphs"
    bigtable_nodes  = { min = 5, max = 4 }
    subnetwork_cidr = "fd00::/20"
    launchers       = ["allUsers"]
    budget          = { billing_account = "012345-6789AB-CDEF01", amount = 0.5 }
  }

  expect_failures = [
    var.project, var.name, var.bigtable_nodes, var.subnetwork_cidr, var.launchers, var.budget,
  ]
}

run "other_region" {
  command = plan

  variables {
    create_bigtable_instance = true
    bigtable_zone            = "europe-west4-b"
    subnetwork               = "projects/my-project/regions/europe-west4/subnetworks/workers"
  }

  expect_failures = [var.bigtable_zone, var.subnetwork]
}

run "do_not_go_together" {
  command = plan

  variables {
    create_bigtable_instance = true
    bigtable_project         = "graph-project"
    subnetwork               = "projects/my-project/regions/us-central1/subnetworks/workers"
    subnetwork_cidr          = "10.0.0.1/20"
    nat                      = true
    github_repository        = "my-lab/my-graphs"
  }

  expect_failures = [
    var.create_bigtable_instance, var.subnetwork_cidr, var.nat, var.github_repository,
  ]
}
