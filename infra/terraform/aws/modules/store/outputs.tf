output "identifier" {
  description = "The instance, as metrics name it."
  value       = aws_db_instance.this.identifier
}

output "host" {
  description = "For store.host."
  value       = aws_db_instance.this.address
}

output "port" {
  description = "For store.port."
  value       = aws_db_instance.this.port
}

output "admin_secret_arn" {
  description = "Secret with the administrator's user name and password, made by RDS."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "services_secret_arn" {
  description = "Secret of the services; empty until it is filled by hand."
  value       = aws_secretsmanager_secret.services.arn
}

output "spark_secret_arns" {
  description = "Secrets with one password each, for Spark: scorer, generator, registry."
  value = merge(
    { for role, secret in aws_secretsmanager_secret.spark : role => secret.arn },
    { registry = aws_secretsmanager_secret.registry.arn },
  )
}
