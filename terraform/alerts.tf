resource "google_monitoring_notification_channel" "people" {
  for_each = var.alert_emails

  project      = var.project
  type         = "email"
  display_name = "beam_ingest: ${each.value}"
  labels       = { email_address = each.value }
  user_labels  = local.labels

  depends_on = [google_project_service.apis]
}

resource "google_monitoring_alert_policy" "failed_jobs" {
  count = length(var.alert_emails) == 0 ? 0 : 1

  project               = var.project
  display_name          = "beam_ingest: a job has failed"
  combiner              = "OR"
  notification_channels = [for channel in google_monitoring_notification_channel.people : channel.name]
  user_labels           = local.labels

  conditions {
    display_name = "a job of beam_ingest has failed"

    condition_threshold {
      # The program names its jobs so.
      filter          = "metric.type = \"dataflow.googleapis.com/job/is_failed\" AND resource.type = \"dataflow_job\" AND resource.labels.job_name = starts_with(\"beam-ingest-\")"
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content = "`make status` shows why; `RESUME=1` goes on where it stopped."
  }
}
