variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "release" {
  description = "EMR release."
  type        = string
}

variable "image" {
  description = "Image of driver and executors; null until there is one."
  type        = string
}

variable "capacity" {
  description = "The most that all job runs together may use."
  type        = object({ cpu = string, memory = string, disk = string })
}

variable "subnets" {
  description = "Private subnets."
  type        = list(string)
}

variable "security_group" {
  description = "Security group of driver and executors."
  type        = string
}

variable "bucket_arns" {
  description = "ARNs of the buckets lake and checkpoints."
  type        = map(string)
}

variable "broker_statements" {
  description = "What job runs may do with Kafka, as statements of a policy."
  type        = any
}

variable "store_secret_arns" {
  description = "Secrets with the passwords of the roles of Spark's jobs."
  type        = list(string)
}

variable "kms_key_arn" {
  description = "Key of buckets, secrets and logs."
  type        = string
}

variable "log_days" {
  description = "How long logs are kept."
  type        = number
}

variable "partition" {
  description = "Partition of AWS."
  type        = string
}

variable "account_id" {
  description = "The account."
  type        = string
}

variable "region" {
  description = "Region of jobs and clusters."
  type        = string
}
