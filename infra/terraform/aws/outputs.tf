output "console_address" {
  description = "Point console.DOMAIN at this name."
  value       = module.entrance.console_address
}

output "image_urls" {
  description = "Where to push the images: services, spark."
  value       = module.images.urls
}

output "buckets" {
  description = "The buckets: lake, checkpoints, artifacts."
  value       = module.lake.buckets
}

output "archive_table" {
  description = "The archive as Athena knows it."
  value       = module.lake.archive_table
}

output "bootstrap_servers" {
  description = "Kafka's brokers (IAM)."
  value       = module.broker.bootstrap_servers
}

output "store_host" {
  description = "The store."
  value       = module.store.host
}

output "services_secret_arn" {
  description = "The secret to fill with the services' passwords."
  value       = module.store.services_secret_arn
}

output "spark_secret_arns" {
  description = "The secrets to fill with one password each: of the scorer's role, of the generator's, and of MLflow's user."
  value       = module.store.spark_secret_arns
}

output "settings" {
  description = "Variables that a process of ours needs beside config.aws.yaml; without secrets."
  value       = merge(local.settings, local.warehouse_settings)
}

output "spark" {
  description = "What `aws emr-serverless start-job-run` asks for."
  value = {
    application_id = module.engine.application_id
    job_role_arn   = module.engine.job_role_arn
    log_group      = module.engine.log_group
  }
}

output "redshift_copy_role_arn" {
  description = "The role a namespace of Redshift reads the lake by; make it the default role of a namespace that is not made here."
  value       = module.warehouse.copy_role_arn
}

output "admin_task" {
  description = "What `aws ecs run-task` asks for, to run a single command."
  value = {
    cluster         = aws_ecs_cluster.this.name
    task_definition = module.admin.task_definition
    subnets         = module.network.private_subnets
    security_group  = module.network.security_groups["services"]
  }
}
