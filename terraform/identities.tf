# Who may do what. README.md holds the same as a table, which the tests compare with a plan.

resource "google_service_account" "worker" {
  project      = var.project
  account_id   = "${var.name}-worker"
  display_name = "beam_ingest worker"
  description  = "Workers of Dataflow jobs, and the launcher VM of the template"

  depends_on = [google_project_service.apis]
}

resource "google_service_account" "launcher" {
  project      = var.project
  account_id   = "${var.name}-launcher"
  display_name = "beam_ingest launcher"
  description  = "Builds image and template, starts and follows jobs"

  depends_on = [google_project_service.apis]
}

# --- the project: roles that cannot be given on less

resource "google_project_iam_member" "worker" {
  project = var.project
  role    = "roles/dataflow.worker"
  member  = google_service_account.worker.member
}

resource "google_project_iam_member" "launcher" {
  for_each = toset([
    "roles/cloudbuild.builds.editor",
    "roles/dataflow.developer",
    "roles/logging.logWriter",                 # builds run as the launcher
    "roles/serviceusage.serviceUsageConsumer", # `gcloud builds submit` names the project that is charged
  ])

  project = var.project
  role    = each.value
  member  = google_service_account.launcher.member
}

# --- acting as an account

resource "google_service_account_iam_member" "launcher_starts_workers" {
  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.launcher.member
}

resource "google_service_account_iam_member" "launcher_starts_builds" {
  service_account_id = google_service_account.launcher.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.launcher.member
}

resource "google_service_account_iam_member" "people" {
  for_each = var.launchers

  service_account_id = google_service_account.launcher.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.value
}

# --- buckets

resource "google_storage_bucket_iam_member" "worker" {
  for_each = {
    temp     = "roles/storage.objectUser"
    staging  = "roles/storage.objectUser"
    template = "roles/storage.objectViewer"
  }

  bucket = google_storage_bucket.job[each.key].name
  role   = each.value
  member = google_service_account.worker.member
}

resource "google_storage_bucket_iam_member" "launcher" {
  for_each = toset(["staging", "template"])

  bucket = google_storage_bucket.job[each.key].name
  role   = "roles/storage.objectUser"
  member = google_service_account.launcher.member
}

# `gcloud builds submit` looks whether the bucket for its source is there.
resource "google_storage_bucket_iam_member" "launcher_sees_staging" {
  bucket = google_storage_bucket.job["staging"].name
  role   = "roles/storage.legacyBucketReader"
  member = google_service_account.launcher.member
}

resource "google_storage_bucket_iam_member" "inputs" {
  for_each = var.input_buckets

  bucket = each.value
  role   = "roles/storage.objectViewer"
  member = google_service_account.worker.member
}

# A launch reads the size of the watershed before it asks for workers.
resource "google_storage_bucket_iam_member" "launcher_sees_inputs" {
  for_each = var.input_buckets

  bucket = each.value
  role   = "roles/storage.objectViewer"
  member = google_service_account.launcher.member
}

resource "google_storage_bucket_iam_member" "outputs" {
  for_each = var.output_buckets

  bucket = each.value
  role   = "roles/storage.objectUser"
  member = google_service_account.worker.member
}

# --- images

resource "google_artifact_registry_repository_iam_member" "images" {
  for_each = {
    "roles/artifactregistry.reader" = google_service_account.worker.member
    "roles/artifactregistry.writer" = google_service_account.launcher.member
  }

  project    = var.project
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.repository_id
  role       = each.key
  member     = each.value
}

# --- the Bigtable instance

# What roles/bigtable.user lacks: it reads and writes rows, and sees tables and clusters. Two roles, since a
# table that is made is not there yet, so that no condition on its name could hold.
resource "google_project_iam_custom_role" "tables" {
  for_each = { make = "bigtable.tables.create", remove = "bigtable.tables.delete" }

  project     = local.bigtable_project
  role_id     = "${replace(var.name, "-", "_")}_tables_${each.key}"
  title       = "beam_ingest: ${each.key} tables"
  permissions = [each.value]

  depends_on = [google_project_service.apis]
}

resource "google_bigtable_instance_iam_member" "graphs" {
  for_each = {
    worker_rows  = { role = "roles/bigtable.user", member = google_service_account.worker.member }
    worker_makes = { role = google_project_iam_custom_role.tables["make"].name, member = google_service_account.worker.member }
    launcher     = { role = "roles/bigtable.reader", member = google_service_account.launcher.member }
  }

  project  = local.bigtable_project
  instance = local.bigtable_instance
  role     = each.value.role
  member   = each.value.member
}

# `--overwrite` begins a graph again from scratch; a prefix keeps other tables of the instance from it.
resource "google_bigtable_instance_iam_member" "removal" {
  project  = local.bigtable_project
  instance = local.bigtable_instance
  role     = google_project_iam_custom_role.tables["remove"].name
  member   = google_service_account.worker.member

  dynamic "condition" {
    for_each = var.removable_tables == "" ? [] : [var.removable_tables]

    content {
      title       = "tables of beam_ingest"
      description = "Tables whose names begin with ${condition.value}"
      expression  = "resource.name.startsWith('projects/${local.bigtable_project}/instances/${var.bigtable_instance}/tables/${condition.value}')"
    }
  }
}
