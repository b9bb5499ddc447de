# Make and CI read these through `terraform output -json`.

output "project" {
  description = "Project that jobs run in"
  value       = var.project
}

output "region" {
  description = "Region that jobs run in"
  value       = var.region
}

output "build_region" {
  description = "Region that images are built in"
  value       = coalesce(var.build_region, var.region)
}

output "subnetwork" {
  description = "URL of the workers' subnetwork"
  value       = local.make_network ? google_compute_subnetwork.workers[0].self_link : data.google_compute_subnetwork.existing[0].self_link
}

output "temp_location" {
  description = "Folder for Dataflow's own files"
  value       = "gs://${google_storage_bucket.job["temp"].name}/temp"
}

output "staging_location" {
  description = "Folder for dataset files, job graphs and sources of image builds"
  value       = "gs://${google_storage_bucket.job["staging"].name}/staging"
}

output "template_location" {
  description = "The template's file"
  value       = "gs://${google_storage_bucket.job["template"].name}/beam_ingest.json"
}

output "image" {
  description = "The image, without a tag"
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}/beam-ingest"
}

output "worker_service_account" {
  description = "Address of the account that workers run as"
  value       = google_service_account.worker.email
}

output "launcher_service_account" {
  description = "Address of the account that builds images and starts jobs"
  value       = google_service_account.launcher.email
}

output "bigtable_project" {
  description = "Project of the Bigtable instance"
  value       = local.bigtable_project
}

output "bigtable_instance" {
  description = "Bigtable instance that graphs go to"
  value       = local.bigtable_instance
}

output "workload_identity_provider" {
  description = "What CI names to Google when it logs in; absent without `github_repository`"
  value       = one(google_iam_workload_identity_pool_provider.github[*].name)
}

output "labels" {
  description = "Labels of everything that costs money, for jobs as well"
  value       = local.labels
}
