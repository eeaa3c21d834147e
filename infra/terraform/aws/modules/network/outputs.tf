output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "public_subnets" {
  description = "Subnets of the public load balancer."
  value       = aws_subnet.public[*].id
}

output "public_blocks" {
  description = "Address blocks of these subnets."
  value       = aws_subnet.public[*].cidr_block
}

output "private_subnets" {
  description = "Subnets of everything else."
  value       = aws_subnet.private[*].id
}

output "security_groups" {
  description = "Security groups by what stands in them: entrance, inside, services, engine, broker, store, warehouse, endpoints."
  value       = { for name, group in aws_security_group.this : name => group.id }
}
