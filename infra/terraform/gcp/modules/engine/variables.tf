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

variable "store_password_secret" {
  description = "Secret with the store's password."
  type        = string
}
