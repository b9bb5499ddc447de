locals {
  # Days until a file is deleted. Only jobs that are running need these, and none runs that long.
  buckets = {
    temp     = 30   # Dataflow's own files
    staging  = 30   # dataset files, job graphs, sources of image builds
    template = null # the template's one file
  }
}

# Everything in these buckets can be made again, so nothing keeps them from being destroyed, and files that
# were deleted are not kept (and paid for) a week longer.
resource "google_storage_bucket" "job" {
  for_each = local.buckets

  project                     = var.project
  name                        = "${var.project}-${var.name}-${each.key}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
  labels                      = local.labels

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  dynamic "lifecycle_rule" {
    for_each = each.value == null ? [] : [each.value]

    content {
      action {
        type = "Delete"
      }
      condition {
        age = lifecycle_rule.value
      }
    }
  }

  depends_on = [google_project_service.apis]
}
