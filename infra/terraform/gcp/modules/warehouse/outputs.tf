output "address" {
  description = "For cloud.bigquery."
  value       = "bigquery://${var.project}/${google_bigquery_dataset.this.dataset_id}"
}
