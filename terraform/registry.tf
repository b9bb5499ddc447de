resource "google_artifact_registry_repository" "images" {
  project       = var.project
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images of beam_ingest"
  labels        = local.labels

  # A job that is looked into later ran on what its tag still names.
  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "delete-untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED" # left over from pushes that failed
      older_than = "604800s"  # 7 days
    }
  }

  depends_on = [google_project_service.apis]
}
