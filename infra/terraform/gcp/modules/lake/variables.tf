variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "project" {
  description = "The project: part of the buckets' names, which are the world's."
  type        = string
}

variable "region" {
  description = "Region of the buckets."
  type        = string
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

variable "kms_key" {
  description = "Key of the buckets; null: Google's own."
  type        = string
}
