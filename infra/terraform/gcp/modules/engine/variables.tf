variable "project" {
  description = "The project."
  type        = string
}

variable "account" {
  description = "Service account (address) that batches run as."
  type        = string
}

variable "buckets" {
  description = "Buckets it reads and writes: lake, checkpoints, staging."
  type        = map(string)
}

variable "store_secrets" {
  description = "Secrets with the passwords of the roles of Spark's jobs."
  type        = list(string)
}

variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "submitters" {
  description = "Service accounts (addresses) that submit batches, by name."
  type        = map(string)
}
