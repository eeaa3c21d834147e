output "urls" {
  description = "Where to push the images: services, spark."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}

output "arns" {
  description = "ARNs of the registries."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.arn }
}
