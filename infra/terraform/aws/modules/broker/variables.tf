variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "kafka_version" {
  description = "Version of Kafka as MSK names it."
  type        = string
}

variable "instance_type" {
  description = "Size of a broker."
  type        = string
}

variable "zones" {
  description = "In how many zones brokers stand; topics are replicated as often."
  type        = number
}

variable "brokers_per_zone" {
  description = "Brokers in each of them."
  type        = number
}

variable "volume_gib" {
  description = "Disk of a broker."
  type        = number
}

variable "subnets" {
  description = "Private subnets, one a zone."
  type        = list(string)
}

variable "security_group" {
  description = "Security group of the brokers."
  type        = string
}

variable "topics" {
  description = "Topics clients are let near: that of readings first, then that of truth."
  type        = list(string)

  validation {
    condition     = length(var.topics) == 2
    error_message = "topics must be two: that of readings, then that of truth."
  }
}

variable "kms_key_arn" {
  description = "Key of disks and logs."
  type        = string
}

variable "log_days" {
  description = "How long the brokers' logs are kept."
  type        = number
}
