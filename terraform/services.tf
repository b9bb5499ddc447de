locals {
  apis = concat(
    [
      "artifactregistry.googleapis.com",
      "bigtable.googleapis.com",
      "bigtableadmin.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "compute.googleapis.com",
      "dataflow.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "storage.googleapis.com",
    ],
    var.github_repository == null ? [] : ["sts.googleapis.com"],
    var.budget == null ? [] : ["billingbudgets.googleapis.com"],
  )

  # Bills can be grouped by these. Jobs carry them too: they are an output.
  labels = { app = var.name, owner = var.owner }
}

resource "google_project_service" "apis" {
  for_each = toset(local.apis)

  project            = var.project
  service            = each.value
  disable_on_destroy = false # others in the project may use it
}
