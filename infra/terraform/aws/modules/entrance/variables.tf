variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "public_subnets" {
  description = "Subnets of the public load balancer."
  type        = list(string)
}

variable "private_subnets" {
  description = "Subnets of the inner load balancer."
  type        = list(string)
}

variable "security_groups" {
  description = "Security groups: entrance and inside."
  type        = map(string)
}

variable "domain" {
  description = "Domain of the services."
  type        = string
}

variable "certificate_arn" {
  description = "Certificate of both load balancers."
  type        = string
}
