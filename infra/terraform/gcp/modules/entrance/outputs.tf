output "console_address" {
  description = "What console.DOMAIN must point at, as an A record."
  value       = google_compute_global_address.this.address
}
