output "console_address" {
  description = "What console.DOMAIN must point at: a CNAME, or an alias in Route 53."
  value       = aws_lb.this["entrance"].dns_name
}

output "target_groups" {
  description = "Where services report: console, mlflow, airflow."
  value       = { for name, group in aws_lb_target_group.this : name => group.arn }

  # a service may only be registered behind a load balancer that listens
  depends_on = [aws_lb_listener_rule.this]
}
