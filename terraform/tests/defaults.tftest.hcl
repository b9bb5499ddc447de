# What the four required variables alone make.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project           = "my-project"
  region            = "us-central1"
  owner             = "my-lab"
  bigtable_instance = "my-instance"
}

run "defaults" {
  # outputs
  assert {
    condition     = output.project == "my-project" && output.region == "us-central1"
    error_message = "project and region must be those given"
  }
  assert {
    condition     = output.build_region == "us-central1"
    error_message = "images must be built in the region unless another is named"
  }
  assert {
    condition     = output.subnetwork == "https://www.googleapis.com/compute/v1/projects/my-project/regions/us-central1/subnetworks/beam-ingest"
    error_message = "subnetwork must be the URL of the one made"
  }
  assert {
    condition     = output.temp_location == "gs://my-project-beam-ingest-temp/temp"
    error_message = "temp_location must be in its bucket"
  }
  assert {
    condition     = output.staging_location == "gs://my-project-beam-ingest-staging/staging"
    error_message = "staging_location must be in its bucket"
  }
  assert {
    condition     = output.template_location == "gs://my-project-beam-ingest-template/beam_ingest.json"
    error_message = "template_location must be a file in its bucket"
  }
  assert {
    condition     = output.image == "us-central1-docker.pkg.dev/my-project/beam-ingest/beam-ingest"
    error_message = "image must be in the registry of the region, without a tag"
  }
  assert {
    condition     = output.worker_service_account == "beam-ingest-worker@my-project.iam.gserviceaccount.com"
    error_message = "worker_service_account must be the worker's address"
  }
  assert {
    condition     = output.launcher_service_account == "beam-ingest-launcher@my-project.iam.gserviceaccount.com"
    error_message = "launcher_service_account must be the launcher's address"
  }
  assert {
    condition     = output.bigtable_project == "my-project" && output.bigtable_instance == "my-instance"
    error_message = "the Bigtable instance must be in the project unless another is named"
  }
  assert {
    condition     = output.workload_identity_provider == null
    error_message = "workload_identity_provider must be absent without CI"
  }
  assert {
    condition     = output.labels == { app = "beam-ingest", owner = "my-lab" }
    error_message = "labels must name app and owner"
  }

  # network
  assert {
    condition     = google_compute_network.workers[0].auto_create_subnetworks == false
    error_message = "the network must have no other subnetworks"
  }
  assert {
    condition = (
      google_compute_subnetwork.workers[0].private_ip_google_access
      && google_compute_subnetwork.workers[0].region == "us-central1"
      && google_compute_subnetwork.workers[0].ip_cidr_range == "10.0.0.0/20"
    )
    error_message = "the subnetwork must be in the region and have private Google access"
  }
  assert {
    condition = (
      google_compute_firewall.workers[0].direction == "INGRESS"
      && google_compute_firewall.workers[0].source_tags == toset(["dataflow"])
      && google_compute_firewall.workers[0].target_tags == toset(["dataflow"])
      && google_compute_firewall.workers[0].source_ranges == null
      && [for rule in google_compute_firewall.workers[0].allow : [rule.protocol, tolist(rule.ports)]] == [["tcp", tolist(["12345-12346"])]]
    )
    error_message = "workers must be reached by workers alone, on Dataflow's ports alone"
  }
  assert {
    condition     = length(google_compute_router.workers) == 0 && length(google_compute_router_nat.workers) == 0
    error_message = "there must be no NAT unless it is asked for"
  }

  # buckets
  assert {
    condition = { for key, bucket in google_storage_bucket.job : key => bucket.name } == {
      temp     = "my-project-beam-ingest-temp"
      staging  = "my-project-beam-ingest-staging"
      template = "my-project-beam-ingest-template"
    }
    error_message = "names of buckets must derive from project and name"
  }
  assert {
    condition     = alltrue([for bucket in google_storage_bucket.job : bucket.location == "us-central1"])
    error_message = "buckets must be in the region"
  }
  assert {
    condition     = alltrue([for bucket in google_storage_bucket.job : bucket.public_access_prevention == "enforced"])
    error_message = "public access must be prevented"
  }
  assert {
    condition     = alltrue([for bucket in google_storage_bucket.job : bucket.uniform_bucket_level_access])
    error_message = "access must be uniform"
  }
  assert {
    condition     = alltrue([for bucket in google_storage_bucket.job : bucket.soft_delete_policy[0].retention_duration_seconds == 0])
    error_message = "soft delete must be off"
  }
  assert {
    condition = { for key, bucket in google_storage_bucket.job : key => [
      for rule in bucket.lifecycle_rule : [one(rule.action).type, one(rule.condition).age]
    ] } == { temp = [["Delete", 30]], staging = [["Delete", 30]], template = [] }
    error_message = "files must go from temp and staging, and stay in template"
  }

  # registry
  assert {
    condition = (
      google_artifact_registry_repository.images.format == "DOCKER"
      && google_artifact_registry_repository.images.location == "us-central1"
      && google_artifact_registry_repository.images.docker_config[0].immutable_tags
    )
    error_message = "images must be in the region, under tags that do not move"
  }
  assert {
    condition = [for policy in google_artifact_registry_repository.images.cleanup_policies :
      [policy.action, policy.condition[0].tag_state, policy.condition[0].older_than]
    ] == [["DELETE", "UNTAGGED", "604800s"]]
    error_message = "nothing but untagged images must be cleaned up"
  }

  # APIs
  assert {
    condition = toset([for api in google_project_service.apis : api.service]) == toset([
      "artifactregistry.googleapis.com", "bigtable.googleapis.com", "bigtableadmin.googleapis.com",
      "cloudbuild.googleapis.com", "cloudresourcemanager.googleapis.com", "compute.googleapis.com",
      "dataflow.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com",
      "logging.googleapis.com", "monitoring.googleapis.com", "storage.googleapis.com",
    ])
    error_message = "the APIs that are used, and no other, must be enabled"
  }
  assert {
    condition     = alltrue([for api in google_project_service.apis : api.project == "my-project" && !api.disable_on_destroy])
    error_message = "APIs must stay enabled when this is taken down"
  }

  # nothing else
  assert {
    condition = (
      length(google_bigtable_instance.graphs) == 0 && length(google_billing_budget.monthly) == 0
      && length(google_iam_workload_identity_pool.ci) == 0
      && length(google_iam_workload_identity_pool_provider.github) == 0
      && length(google_monitoring_alert_policy.failed_jobs) == 0
      && length(google_monitoring_notification_channel.people) == 0
    )
    error_message = "Bigtable instance, budget and CI must be made when asked for alone"
  }
}
