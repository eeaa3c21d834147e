output "bootstrap_servers" {
  description = "For kafka.bootstrap_servers: host:port,... of the IAM listener."
  value       = aws_msk_cluster.this.bootstrap_brokers_sasl_iam
}

output "cluster_arn" {
  description = "The cluster."
  value       = aws_msk_cluster.this.arn
}

output "statements" {
  description = "Statements for the policies of clients: read, send_readings, send_all, make_topics."
  value       = local.statements
}
