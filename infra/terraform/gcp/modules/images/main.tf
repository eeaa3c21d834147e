# One registry, two images: services and spark.

resource "google_artifact_registry_repository" "this" {
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the services and of Spark."
  kms_key_name  = var.kms_key

  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "the-last-ones"
    action = "KEEP"

    most_recent_versions {
      keep_count = var.keep
    }
  }

  cleanup_policies {
    id     = "older-ones"
    action = "DELETE"

    condition {
      older_than = "7776000s"
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "reader" {
  for_each   = toset(var.readers)
  location   = google_artifact_registry_repository.this.location
  repository = google_artifact_registry_repository.this.name
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:${each.value}"
}
