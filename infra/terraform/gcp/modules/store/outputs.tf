output "host" {
  description = "For store.host."
  value       = google_sql_database_instance.this.private_ip_address
}

output "instance" {
  description = "For `gcloud sql users`."
  value       = google_sql_database_instance.this.name
}

output "secrets" {
  description = "Ids of the secrets, empty until they are filled by hand."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.secret_id }
}
