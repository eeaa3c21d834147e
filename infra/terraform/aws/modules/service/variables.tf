variable "deployment" {
  description = "Name of the deployment."
  type        = string
}

variable "name" {
  description = "Name of the service."
  type        = string
}

variable "cluster_arn" {
  description = "ECS cluster it runs in."
  type        = string
}

variable "image" {
  description = "Image of its containers."
  type        = string
}

variable "image_registry_arn" {
  description = "Registry the image is taken from."
  type        = string
}

variable "containers" {
  description = "Its containers. once: it ends, and those that name it in `after` wait for that."
  type = list(object({
    name        = string
    command     = list(string)
    environment = optional(map(string), {})
    ports       = optional(list(number), [])
    once        = optional(bool, false)
    after       = optional(list(string), [])
  }))
}

variable "environment" {
  description = "Variables of all its containers; no secrets."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Variables whose values stand in Secrets Manager: name -> ARN, or ARN:KEY::."
  type        = map(string)
  default     = {}
}

variable "secret_arns" {
  description = "The secrets that `secrets` takes from."
  type        = list(string)
}

variable "statements" {
  description = "What the service may do, as statements of a policy."
  type        = any
  default     = []
}

variable "cpu" {
  description = "CPU units; 1024 are a core."
  type        = number
  default     = 512
}

variable "memory" {
  description = "MiB."
  type        = number
  default     = 2048
}

variable "running" {
  description = "Whether it runs all the time; otherwise there is a task definition for `aws ecs run-task` only."
  type        = bool
}

variable "copies" {
  description = "How many of it run."
  type        = number
  default     = 1
}

variable "one_at_a_time" {
  description = "Whether the old one ends before a new one starts."
  type        = bool
  default     = false
}

variable "target" {
  description = "Target group, container and port it is reached by; null: by nobody."
  type        = object({ group_arn = string, container = string, port = number })
  default     = null
}

variable "subnets" {
  description = "Private subnets."
  type        = list(string)
}

variable "security_group" {
  description = "Security group of the services."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of logs and secrets."
  type        = string
}

variable "log_days" {
  description = "How long logs are kept."
  type        = number
}
