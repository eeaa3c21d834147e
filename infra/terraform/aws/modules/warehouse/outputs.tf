output "copy_role_arn" {
  description = "Role that COPY reads the lake by: the default role of a namespace."
  value       = aws_iam_role.copy.arn
}

output "address" {
  description = "For cloud.redshift; null where there is no workgroup."
  value       = var.capacity == null ? null : "redshift://${aws_redshiftserverless_workgroup.this[0].workgroup_name}/${local.database}"
}

output "loading_statements" {
  description = "What who loads may do, as statements of a policy."
  value       = local.loading
}
