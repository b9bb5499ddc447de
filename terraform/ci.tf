# Workflows of one GitHub repository act as the launcher, with tokens of GitHub's and without a key: those that
# run in its environment `dataflow`, whose protection rules say which branches and whose approval that takes.

resource "google_iam_workload_identity_pool" "ci" {
  count = var.github_repository == null ? 0 : 1

  project                   = var.project
  workload_identity_pool_id = "${var.name}-ci"
  display_name              = "beam_ingest CI"

  depends_on = [google_project_service.apis]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  count = var.github_repository == null ? 0 : 1

  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.ci[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub"

  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
  }

  # By number too: an owner's name that was given up can be taken by somebody else.
  attribute_condition = "assertion.repository == '${var.github_repository}' && assertion.repository_owner_id == '${var.github_owner_id}' && assertion.environment == 'dataflow'"

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "ci" {
  count = var.github_repository == null ? 0 : 1

  service_account_id = google_service_account.launcher.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.ci[0].name}/attribute.repository/${var.github_repository}"
}
