variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the store and of the secrets."
  type        = string
}

variable "postgres_version" {
  description = "Version of PostgreSQL."
  type        = string
}

variable "tier" {
  description = "Size of the instance."
  type        = string
}

variable "storage_gib" {
  description = "Disk at first, and at the most."
  type        = object({ initial = number, most = number })
}

variable "regional" {
  description = "Whether a second instance in another zone stands ready."
  type        = bool
}

variable "backups" {
  description = "How many daily backups are kept."
  type        = number
}

variable "network" {
  description = "Network it is reached from."
  type        = string
}

variable "force_destroy" {
  description = "Whether the store may be destroyed."
  type        = bool
}

variable "kms_key" {
  description = "Key of disk and backups; null: Google's own."
  type        = string
}
