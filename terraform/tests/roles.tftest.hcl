# Who may do what: whole sets, so that a role more fails as well as a role less.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project           = "my-project"
  region            = "us-central1"
  owner             = "my-lab"
  bigtable_instance = "my-instance"
  input_buckets     = ["my-segmentation"]
  output_buckets    = ["my-edges"]
  launchers         = ["user:ann@example.org", "group:lab@example.org"]
  github_repository = "my-lab/my-graphs"
  github_owner_id   = "4242"
}

run "roles" {
  # project
  assert {
    condition     = google_project_iam_member.worker.role == "roles/dataflow.worker" && google_project_iam_member.worker.member == google_service_account.worker.member
    error_message = "the worker must have dataflow.worker on the project, and nothing else"
  }
  assert {
    condition = toset([for grant in google_project_iam_member.launcher : [grant.role, grant.member]]) == toset([
      ["roles/cloudbuild.builds.editor", google_service_account.launcher.member],
      ["roles/dataflow.developer", google_service_account.launcher.member],
      ["roles/logging.logWriter", google_service_account.launcher.member],
      ["roles/serviceusage.serviceUsageConsumer", google_service_account.launcher.member],
    ])
    error_message = "the launcher must have these four roles on the project"
  }

  # accounts
  assert {
    condition = [
      google_service_account_iam_member.launcher_starts_workers.service_account_id,
      google_service_account_iam_member.launcher_starts_workers.role,
      google_service_account_iam_member.launcher_starts_workers.member,
    ] == [google_service_account.worker.name, "roles/iam.serviceAccountUser", google_service_account.launcher.member]
    error_message = "the launcher must be able to start workers"
  }
  assert {
    condition = [
      google_service_account_iam_member.launcher_starts_builds.service_account_id,
      google_service_account_iam_member.launcher_starts_builds.role,
      google_service_account_iam_member.launcher_starts_builds.member,
    ] == [google_service_account.launcher.name, "roles/iam.serviceAccountUser", google_service_account.launcher.member]
    error_message = "the launcher must be able to start builds that run as the launcher"
  }
  assert {
    condition = toset([for grant in google_service_account_iam_member.people : [grant.service_account_id, grant.role, grant.member]]) == toset([
      [google_service_account.launcher.name, "roles/iam.serviceAccountTokenCreator", "user:ann@example.org"],
      [google_service_account.launcher.name, "roles/iam.serviceAccountTokenCreator", "group:lab@example.org"],
    ])
    error_message = "people must act as the launcher, never as the worker"
  }

  # buckets
  assert {
    condition = toset([for grant in merge(google_storage_bucket_iam_member.worker,
      google_storage_bucket_iam_member.inputs, google_storage_bucket_iam_member.outputs) :
      [grant.bucket, grant.role, grant.member]]) == toset([
      ["my-project-beam-ingest-temp", "roles/storage.objectUser", google_service_account.worker.member],
      ["my-project-beam-ingest-staging", "roles/storage.objectUser", google_service_account.worker.member],
      ["my-project-beam-ingest-template", "roles/storage.objectViewer", google_service_account.worker.member],
      ["my-segmentation", "roles/storage.objectViewer", google_service_account.worker.member],
      ["my-edges", "roles/storage.objectUser", google_service_account.worker.member],
    ])
    error_message = "the worker must read inputs and template, and write temp, staging and outputs"
  }
  assert {
    condition = toset(concat(
      [for grant in merge(google_storage_bucket_iam_member.launcher, google_storage_bucket_iam_member.launcher_sees_inputs) :
      [grant.bucket, grant.role, grant.member]],
      [[google_storage_bucket_iam_member.launcher_sees_staging.bucket, google_storage_bucket_iam_member.launcher_sees_staging.role, google_storage_bucket_iam_member.launcher_sees_staging.member]],
      )) == toset([
      ["my-project-beam-ingest-staging", "roles/storage.objectUser", google_service_account.launcher.member],
      ["my-project-beam-ingest-staging", "roles/storage.legacyBucketReader", google_service_account.launcher.member],
      ["my-project-beam-ingest-template", "roles/storage.objectUser", google_service_account.launcher.member],
      ["my-segmentation", "roles/storage.objectViewer", google_service_account.launcher.member],
    ])
    error_message = "the launcher must write staging and template, and read inputs"
  }

  # images
  assert {
    condition = toset([for grant in google_artifact_registry_repository_iam_member.images : [grant.repository, grant.location, grant.role, grant.member]]) == toset([
      ["beam-ingest", "us-central1", "roles/artifactregistry.reader", google_service_account.worker.member],
      ["beam-ingest", "us-central1", "roles/artifactregistry.writer", google_service_account.launcher.member],
    ])
    error_message = "the worker must pull images and the launcher push them"
  }

  # Bigtable
  assert {
    condition = { for key, role in google_project_iam_custom_role.tables : key => tolist(role.permissions) } == {
      make   = tolist(["bigtable.tables.create"])
      remove = tolist(["bigtable.tables.delete"])
    }
    error_message = "the custom roles must make and remove tables, and nothing else"
  }
  assert {
    condition = toset([for grant in google_bigtable_instance_iam_member.graphs : [grant.project, grant.instance, grant.role, grant.member]]) == toset([
      ["my-project", "my-instance", "roles/bigtable.user", google_service_account.worker.member],
      ["my-project", "my-instance", google_project_iam_custom_role.tables["make"].name, google_service_account.worker.member],
      ["my-project", "my-instance", "roles/bigtable.reader", google_service_account.launcher.member],
    ])
    error_message = "on the one instance, the worker must write graphs and the launcher read them"
  }

  assert {
    condition = [
      google_bigtable_instance_iam_member.removal.instance, google_bigtable_instance_iam_member.removal.role,
      google_bigtable_instance_iam_member.removal.member, length(google_bigtable_instance_iam_member.removal.condition),
    ] == ["my-instance", google_project_iam_custom_role.tables["remove"].name, google_service_account.worker.member, 0]
    error_message = "the worker alone must remove tables"
  }

  # CI
  assert {
    condition     = google_iam_workload_identity_pool_provider.github[0].attribute_condition == "assertion.repository == 'my-lab/my-graphs' && assertion.repository_owner_id == '4242' && assertion.environment == 'dataflow'"
    error_message = "tokens of the one repository, of the one owner, in the protected environment, must be taken and no others"
  }
  assert {
    condition = google_iam_workload_identity_pool_provider.github[0].attribute_mapping == tomap({
      "google.subject"       = "assertion.sub"
      "attribute.repository" = "assertion.repository"
    })
    error_message = "the repository must be an attribute"
  }
  assert {
    condition     = one(google_iam_workload_identity_pool_provider.github[0].oidc).issuer_uri == "https://token.actions.githubusercontent.com"
    error_message = "tokens must be GitHub's"
  }
  assert {
    condition = [google_service_account_iam_member.ci[0].service_account_id, google_service_account_iam_member.ci[0].role, google_service_account_iam_member.ci[0].member] == [
      google_service_account.launcher.name,
      "roles/iam.workloadIdentityUser",
      "principalSet://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/beam-ingest-ci/attribute.repository/my-lab/my-graphs",
    ]
    error_message = "workflows of the repository must act as the launcher"
  }
  assert {
    condition     = output.workload_identity_provider == "projects/123456789012/locations/global/workloadIdentityPools/beam-ingest-ci/providers/github"
    error_message = "workload_identity_provider must be the provider's full name"
  }
  assert {
    condition     = contains(keys(google_project_service.apis), "sts.googleapis.com")
    error_message = "the API that exchanges tokens must be enabled"
  }
}
