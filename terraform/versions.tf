terraform {
  required_version = ">= 1.9, < 2.0" # 1.9: validation across variables

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.0, < 8.0"
    }
  }
}
