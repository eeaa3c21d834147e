variable "deployment" {
  description = "Name of the deployment."
  type        = string
}

variable "name" {
  description = "Name of the service."
  type        = string
}

variable "project" {
  description = "The project."
  type        = string
}

variable "region" {
  description = "Region it runs in."
  type        = string
}

variable "account" {
  description = "Service account (address) it runs as."
  type        = string
}

variable "image" {
  description = "Image of its containers."
  type        = string
}

variable "containers" {
  description = "Its containers; the one with a port is spoken to. Those named in `after` must have started."
  type = list(object({
    name        = string
    command     = list(string)
    environment = optional(map(string), {})
    port        = optional(number)
    after       = optional(list(string), [])
    cpu         = optional(string, "1")
    memory      = optional(string, "2Gi")
  }))

  validation {
    condition     = length([for container in var.containers : container if container.port != null]) == 1
    error_message = "containers must have one with a port, and only one."
  }
}

variable "environment" {
  description = "Variables of all its containers; no secrets."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Variables whose values stand in Secret Manager: name -> id of the secret."
  type        = map(string)
  default     = {}
}

variable "buckets" {
  description = "Buckets it uses: name -> role."
  type        = map(string)
  default     = {}
}

variable "behind_balancer" {
  description = "Whether the public load balancer leads to it; otherwise it is reached from the network only."
  type        = bool
  default     = false
}

variable "network" {
  description = "Network it speaks through."
  type        = string
}

variable "subnet" {
  description = "Subnet of it."
  type        = string
}
