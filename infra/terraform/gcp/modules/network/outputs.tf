output "network" {
  description = "The network, joined to Google's services."
  value       = google_compute_network.this.id

  # a store can only be made once the networks are joined
  depends_on = [google_service_networking_connection.services]
}

output "subnet" {
  description = "Its subnet."
  value       = google_compute_subnetwork.this.id
}

output "subnet_name" {
  description = "For `gcloud dataproc batches submit --subnet`."
  value       = google_compute_subnetwork.this.name
}
