# A network of its own, or an existing subnetwork. Workers have no public addresses: they reach Google's
# services through private Google access, and nothing else unless `nat` is asked for.

locals {
  make_network = var.subnetwork == null

  existing_subnetwork = local.make_network ? null : regex(
    "projects/(?P<project>[^/]+)/regions/(?P<region>[^/]+)/subnetworks/(?P<name>[^/]+)$", var.subnetwork
  )
}

resource "google_compute_network" "workers" {
  count = local.make_network ? 1 : 0

  project                 = var.project
  name                    = var.name
  auto_create_subnetworks = false

  depends_on = [google_project_service.apis]
}

resource "google_compute_subnetwork" "workers" {
  count = local.make_network ? 1 : 0

  project                  = var.project
  name                     = var.name
  region                   = var.region
  network                  = google_compute_network.workers[0].id
  ip_cidr_range            = var.subnetwork_cidr
  private_ip_google_access = true
}

# Dataflow gives its workers the tag, and warns when they cannot reach each other on these two ports.
resource "google_compute_firewall" "workers" {
  count = local.make_network ? 1 : 0

  project     = var.project
  name        = "${var.name}-workers"
  network     = google_compute_network.workers[0].id
  direction   = "INGRESS"
  source_tags = ["dataflow"]
  target_tags = ["dataflow"]

  allow {
    protocol = "tcp"
    ports    = ["12345-12346"]
  }
}

resource "google_compute_router" "workers" {
  count = var.nat ? 1 : 0

  project = var.project
  name    = var.name
  region  = var.region
  network = google_compute_network.workers[0].id
}

resource "google_compute_router_nat" "workers" {
  count = var.nat ? 1 : 0

  project                            = var.project
  name                               = var.name
  region                             = var.region
  router                             = google_compute_router.workers[0].name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.workers[0].id
    source_ip_ranges_to_nat = ["PRIMARY_IP_RANGE"]
  }
}

data "google_compute_subnetwork" "existing" {
  count = local.make_network ? 0 : 1

  project = local.existing_subnetwork.project
  region  = local.existing_subnetwork.region
  name    = local.existing_subnetwork.name

  lifecycle {
    postcondition {
      condition     = self.private_ip_google_access
      error_message = "subnetwork: ${var.subnetwork} has no private Google access, without which workers reach no Google service; `gcloud compute networks subnets update --enable-private-ip-google-access` turns it on."
    }
  }
}
