output "application_id" {
  description = "For `aws emr-serverless start-job-run --application-id`."
  value       = aws_emrserverless_application.this.id
}

output "job_role_arn" {
  description = "For --execution-role-arn."
  value       = aws_iam_role.job.arn
}

output "log_group" {
  description = "Where drivers and executors log."
  value       = aws_cloudwatch_log_group.this.name
}
