variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the subnet."
  type        = string
}

variable "cidr" {
  description = "Addresses of the subnet."
  type        = string
}
