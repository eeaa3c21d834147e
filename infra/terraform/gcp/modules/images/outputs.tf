output "urls" {
  description = "Where to push the images: services, spark."
  value = {
    for image in ["services", "spark"] :
    image => "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.this.repository_id}/${image}"
  }
}
