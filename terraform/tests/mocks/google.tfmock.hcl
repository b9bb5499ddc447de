# What Google would answer, for the fields that the configuration or the tests go on with.

override_resource {
  target = google_service_account.worker
  values = {
    name   = "projects/my-project/serviceAccounts/beam-ingest-worker@my-project.iam.gserviceaccount.com"
    email  = "beam-ingest-worker@my-project.iam.gserviceaccount.com"
    member = "serviceAccount:beam-ingest-worker@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.launcher
  values = {
    name   = "projects/my-project/serviceAccounts/beam-ingest-launcher@my-project.iam.gserviceaccount.com"
    email  = "beam-ingest-launcher@my-project.iam.gserviceaccount.com"
    member = "serviceAccount:beam-ingest-launcher@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_project_iam_custom_role.tables["make"]
  values = { name = "projects/my-project/roles/beam_ingest_tables_make" }
}

override_resource {
  target = google_project_iam_custom_role.tables["remove"]
  values = { name = "projects/my-project/roles/beam_ingest_tables_remove" }
}

override_resource {
  target = google_compute_subnetwork.workers
  values = {
    self_link = "https://www.googleapis.com/compute/v1/projects/my-project/regions/us-central1/subnetworks/beam-ingest"
  }
}

override_resource {
  target = google_iam_workload_identity_pool.ci
  values = { name = "projects/123456789012/locations/global/workloadIdentityPools/beam-ingest-ci" }
}

override_resource {
  target = google_iam_workload_identity_pool_provider.github
  values = { name = "projects/123456789012/locations/global/workloadIdentityPools/beam-ingest-ci/providers/github" }
}

mock_resource "google_storage_bucket" {
  defaults = { project_number = 123456789012 }
}

mock_data "google_compute_subnetwork" {
  defaults = {
    private_ip_google_access = true
    self_link                = "https://www.googleapis.com/compute/v1/projects/net-project/regions/us-central1/subnetworks/workers"
  }
}
