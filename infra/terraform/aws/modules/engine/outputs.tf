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

output "service_role" {
  description = "For cloud.service_role: what EMR is when it makes a cluster."
  value       = aws_iam_role.cluster.name
}

output "instance_profile" {
  description = "For cloud.instance_profile: what a cluster's nodes are."
  value       = aws_iam_instance_profile.nodes.name
}

output "submitting_statements" {
  description = "What who submits jobs may do, as statements of a policy."
  value       = local.submitting
}
