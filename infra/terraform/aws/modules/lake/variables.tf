variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "account_id" {
  description = "The account: part of the buckets' names, which are the world's."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of all three buckets."
  type        = string
}

variable "topic" {
  description = "The topic that is archived."
  type        = string
}

variable "archive_from" {
  description = "The first day the table of the archive looks for."
  type        = string
  default     = "2026-01-01"

  validation {
    condition     = can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", var.archive_from))
    error_message = "archive_from must be a day, such as 2026-01-01."
  }
}

variable "archive_days_until_cold" {
  description = "After so many days the archive's files move to a colder class."
  type        = number
}

variable "noncurrent_days" {
  description = "How long replaced or deleted objects can be had back."
  type        = number
}

variable "force_destroy" {
  description = "Whether the buckets may be destroyed with what is in them."
  type        = bool
}
