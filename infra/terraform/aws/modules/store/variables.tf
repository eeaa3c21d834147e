variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "postgres_version" {
  description = "Version of PostgreSQL."
  type        = string
}

variable "instance_class" {
  description = "Size of the instance."
  type        = string
}

variable "storage_gib" {
  description = "Disk at first, and at the most."
  type        = object({ initial = number, most = number })
}

variable "multi_az" {
  description = "Whether a second instance in another zone stands ready."
  type        = bool
}

variable "backup_days" {
  description = "How far back the store can be set."
  type        = number
}

variable "subnets" {
  description = "Private subnets."
  type        = list(string)
}

variable "security_group" {
  description = "Security group of the store."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of disk, backups and secrets."
  type        = string
}

variable "force_destroy" {
  description = "Whether the store may be destroyed without a last snapshot."
  type        = bool
}
