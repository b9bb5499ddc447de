terraform {
  required_version = ">= 1.9, < 2.0" # 1.9: validation across variables

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.0, < 8.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

# The budget API asks which project pays for the call, which credentials of a person do not say.
provider "google" {
  alias                 = "budget"
  project               = var.project
  billing_project       = var.project
  user_project_override = true
}
