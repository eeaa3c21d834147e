terraform {
  required_version = ">= 1.5.7, < 2.0.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }

  # The state is kept on this machine unless a backend is named; ../README.md has an example to copy here.
}

# Who asks is said by the environment (gcloud auth application-default login, a service account), never by this file.
provider "google" {
  project        = var.project
  region         = var.region
  default_labels = local.labels
}
