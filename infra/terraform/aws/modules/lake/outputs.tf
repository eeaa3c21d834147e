output "buckets" {
  description = "Names of the buckets: lake, checkpoints, artifacts."
  value       = { for name, bucket in aws_s3_bucket.this : name => bucket.bucket }
}

output "bucket_arns" {
  description = "Their ARNs."
  value       = { for name, bucket in aws_s3_bucket.this : name => bucket.arn }
}

output "archive_table" {
  description = "The archive's table, DATABASE.TABLE, as Athena knows it."
  value       = "${aws_glue_catalog_database.this.name}.${aws_glue_catalog_table.archive.name}"
}
