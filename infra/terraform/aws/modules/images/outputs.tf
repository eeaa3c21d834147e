output "urls" {
  description = "Where to push the images: services, spark."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }

  # Spark's image may be named once EMR is let in
  depends_on = [aws_ecr_repository_policy.spark]
}

output "arns" {
  description = "ARNs of the registries."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.arn }
}
