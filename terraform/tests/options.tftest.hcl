# What the optional variables change.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project           = "my-project"
  region            = "europe-west4"
  owner             = "my-lab"
  bigtable_instance = "my-instance"
}

run "name" {
  variables {
    name = "graphs"
  }

  assert {
    condition = (
      output.image == "europe-west4-docker.pkg.dev/my-project/graphs/beam-ingest"
      && output.temp_location == "gs://my-project-graphs-temp/temp"
      && output.labels.app == "graphs"
      && google_service_account.worker.account_id == "graphs-worker"
      && google_service_account.launcher.account_id == "graphs-launcher"
      && google_project_iam_custom_role.tables["make"].role_id == "graphs_tables_make"
    )
    error_message = "every name must begin with the given one"
  }
}

run "build_region" {
  variables {
    build_region = "europe-west1"
  }

  assert {
    condition     = output.build_region == "europe-west1" && output.region == "europe-west4"
    error_message = "images must be built in the region that is named for it"
  }
}

run "removable_tables" {
  variables {
    removable_tables = "lab_"
    bigtable_project = "graph-project"
  }

  assert {
    condition     = google_bigtable_instance_iam_member.removal.condition[0].expression == "resource.name.startsWith('projects/graph-project/instances/my-instance/tables/lab_')"
    error_message = "tables of other names must be safe"
  }
}

run "alert_emails" {
  variables {
    alert_emails = ["ann@example.org", "ben@example.org"]
  }

  assert {
    condition = (
      toset([for channel in google_monitoring_notification_channel.people : channel.labels.email_address])
      == toset(["ann@example.org", "ben@example.org"])
      && length(google_monitoring_alert_policy.failed_jobs[0].notification_channels) == 2
    )
    error_message = "everyone named must be told"
  }
  assert {
    condition = strcontains(
      google_monitoring_alert_policy.failed_jobs[0].conditions[0].condition_threshold[0].filter,
      "metric.type = \"dataflow.googleapis.com/job/is_failed\""
    )
    error_message = "they must be told of failed jobs"
  }
}

run "new_bigtable_instance" {
  variables {
    create_bigtable_instance = true
    bigtable_nodes           = { min = 3, max = 30 }
  }

  assert {
    condition = (
      google_bigtable_instance.graphs[0].name == "my-instance"
      && google_bigtable_instance.graphs[0].deletion_protection
      && output.bigtable_instance == "my-instance"
    )
    error_message = "the instance must be made, and protected"
  }
  assert {
    condition = [for cluster in google_bigtable_instance.graphs[0].cluster : [cluster.zone, cluster.storage_type]] == [
      ["europe-west4-b", "SSD"]
    ]
    error_message = "its one cluster must be in the region"
  }
  assert {
    condition = (
      google_bigtable_instance.graphs[0].cluster[0].autoscaling_config[0].min_nodes == 3
      && google_bigtable_instance.graphs[0].cluster[0].autoscaling_config[0].max_nodes == 30
      && google_bigtable_instance.graphs[0].cluster[0].autoscaling_config[0].cpu_target == 60
    )
    error_message = "the cluster must scale between the given numbers of nodes"
  }
}

run "zone" {
  variables {
    create_bigtable_instance = true
    bigtable_zone            = "europe-west4-a"
  }

  assert {
    condition     = google_bigtable_instance.graphs[0].cluster[0].zone == "europe-west4-a"
    error_message = "the cluster must be in the given zone"
  }
}

run "bigtable_of_another_project" {
  variables {
    bigtable_project = "graph-project"
  }

  assert {
    condition = (
      google_project_iam_custom_role.tables["make"].project == "graph-project"
      && toset([for grant in google_bigtable_instance_iam_member.graphs : grant.project]) == toset(["graph-project"])
      && output.bigtable_project == "graph-project"
    )
    error_message = "role and grants must be in the project of the instance"
  }
  assert {
    condition     = google_project_iam_member.worker.project == "my-project"
    error_message = "jobs must stay in their own project"
  }
}

run "existing_subnetwork" {
  variables {
    region     = "us-central1"
    subnetwork = "https://www.googleapis.com/compute/v1/projects/net-project/regions/us-central1/subnetworks/workers"
  }

  assert {
    condition = (
      length(google_compute_network.workers) == 0 && length(google_compute_subnetwork.workers) == 0
      && length(google_compute_firewall.workers) == 0
    )
    error_message = "no network must be made beside an existing one"
  }
  assert {
    condition = [for found in data.google_compute_subnetwork.existing : [found.project, found.region, found.name]] == [
      ["net-project", "us-central1", "workers"]
    ]
    error_message = "the given subnetwork must be looked up"
  }
  assert {
    condition     = output.subnetwork == "https://www.googleapis.com/compute/v1/projects/net-project/regions/us-central1/subnetworks/workers"
    error_message = "subnetwork must be the given one's URL"
  }
}

run "subnetwork_without_google_access" {
  command = plan

  variables {
    subnetwork = "projects/my-project/regions/europe-west4/subnetworks/workers"
  }

  override_data {
    target = data.google_compute_subnetwork.existing
    values = { private_ip_google_access = false }
  }

  expect_failures = [data.google_compute_subnetwork.existing]
}

run "nat" {
  variables {
    nat             = true
    subnetwork_cidr = "192.168.8.0/22"
  }

  assert {
    condition = (
      google_compute_router.workers[0].region == "europe-west4"
      && google_compute_router_nat.workers[0].region == "europe-west4"
      && google_compute_router_nat.workers[0].source_subnetwork_ip_ranges_to_nat == "LIST_OF_SUBNETWORKS"
      && [for subnetwork in google_compute_router_nat.workers[0].subnetwork : subnetwork.name] == [google_compute_subnetwork.workers[0].id]
    )
    error_message = "the workers' subnetwork alone must go through NAT"
  }
  assert {
    condition     = google_compute_subnetwork.workers[0].ip_cidr_range == "192.168.8.0/22"
    error_message = "the subnetwork must have the given addresses"
  }
}

run "budget" {
  variables {
    budget = { billing_account = "012345-6789AB-CDEF01", amount = 500 }
  }

  assert {
    condition = (
      google_billing_budget.monthly[0].billing_account == "012345-6789AB-CDEF01"
      && google_billing_budget.monthly[0].amount[0].specified_amount[0].units == "500"
      && [for rule in google_billing_budget.monthly[0].threshold_rules : rule.threshold_percent] == [0.5, 0.9, 1]
    )
    error_message = "the budget must be the given one"
  }
  assert {
    condition = (
      google_billing_budget.monthly[0].budget_filter[0].projects == toset(["projects/123456789012"])
      && google_billing_budget.monthly[0].budget_filter[0].labels == tomap({ app = "beam-ingest" })
    )
    error_message = "what is labelled in the project must count, and nothing else"
  }
  assert {
    condition     = contains(keys(google_project_service.apis), "billingbudgets.googleapis.com")
    error_message = "the API of budgets must be enabled"
  }
}
