variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the VPC."
  type        = string
}

variable "cidr" {
  description = "Addresses of the VPC."
  type        = string
}

variable "zones" {
  description = "In how many availability zones it has subnets."
  type        = number
}

variable "nat_per_zone" {
  description = "A NAT gateway in every zone, or one for all."
  type        = bool
}

variable "endpoints" {
  description = "Whether AWS's interfaces have endpoints in the VPC."
  type        = bool
}

variable "allowed_cidrs" {
  description = "Who may reach the public load balancer."
  type        = list(string)
}

variable "log_days" {
  description = "How long the flow log is kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Key of the flow log."
  type        = string
}
