output "buckets" {
  description = "Names of the buckets: lake, checkpoints, artifacts, staging."
  value       = { for name, bucket in google_storage_bucket.this : name => bucket.name }
}
