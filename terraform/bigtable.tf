locals {
  bigtable_project = coalesce(var.bigtable_project, var.project)

  # By reference when it is made, so that roles on it wait for it.
  bigtable_instance = var.create_bigtable_instance ? google_bigtable_instance.graphs[0].name : var.bigtable_instance
}

resource "google_bigtable_instance" "graphs" {
  count = var.create_bigtable_instance ? 1 : 0

  project             = var.project
  name                = var.bigtable_instance
  display_name        = "beam_ingest graphs"
  deletion_protection = true
  labels              = local.labels

  cluster {
    cluster_id   = "${var.name}-graphs"
    zone         = coalesce(var.bigtable_zone, "${var.region}-b") # every region has a zone b
    storage_type = "SSD"

    autoscaling_config {
      min_nodes  = var.bigtable_nodes.min
      max_nodes  = var.bigtable_nodes.max
      cpu_target = 60
    }
  }

  depends_on = [google_project_service.apis]
}
