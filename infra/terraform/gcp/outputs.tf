output "console_address" {
  description = "Point console.DOMAIN at this address; null until the services run."
  value       = one(module.entrance[*].console_address)
}

output "image_urls" {
  description = "Where to push the images: services, spark."
  value       = module.images.urls
}

output "buckets" {
  description = "The buckets: lake, checkpoints, artifacts, staging."
  value       = module.lake.buckets
}

output "bootstrap_servers" {
  description = "Kafka's brokers."
  value       = module.broker.bootstrap_servers
}

output "store" {
  description = "The store: its address, and its name for gcloud."
  value       = { host = module.store.host, instance = module.store.instance }
}

output "secrets" {
  description = "The secrets to fill."
  value       = module.store.secrets
}

output "settings" {
  description = "Variables that a process of ours needs beside config.gcp.yaml; without secrets."
  value       = local.settings
}

output "spark" {
  description = "What `gcloud dataproc batches submit` asks for."
  value = {
    service_account = module.engine.account
    subnet          = module.network.subnet_name
    staging_bucket  = module.lake.buckets["staging"]
    image           = var.image_tag == null ? null : "${module.images.urls["spark"]}:${var.image_tag}"
    passwords = {
      for name, secret in { scorer = "store-scorer-password", generator = "store-generator-password", registry = "registry-password" } :
      name => "gcp-secret:projects/${var.project}/secrets/${module.store.secrets[secret]}"
    }
  }
}

output "admin_job" {
  description = "What `gcloud run jobs execute` asks for, to run a single command; null until an image is named."
  value       = one(google_cloud_run_v2_job.admin[*].name)
}
