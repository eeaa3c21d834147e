output "bootstrap_servers" {
  description = "For kafka.bootstrap_servers."
  value       = "bootstrap.${google_managed_kafka_cluster.this.cluster_id}.${var.region}.managedkafka.${var.project}.cloud.goog:9092"
}
