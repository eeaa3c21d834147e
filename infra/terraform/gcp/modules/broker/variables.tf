variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "project" {
  description = "The project."
  type        = string
}

variable "region" {
  description = "Region of the cluster."
  type        = string
}

variable "subnet" {
  description = "Subnet clients reach it from."
  type        = string
}

variable "capacity" {
  description = "vCPUs and GiB of memory."
  type        = object({ vcpus = number, memory_gib = number })
}

variable "topics" {
  description = "Topics clients are let near."
  type        = list(string)
}

variable "readers" {
  description = "Service accounts (addresses) that read the topics."
  type        = list(string)
}

variable "senders" {
  description = "Service accounts (addresses) that write to the topics."
  type        = list(string)
}

variable "topic_maker" {
  description = "Service account (address) that makes the topics."
  type        = string
}

variable "kms_key" {
  description = "Key of the brokers' disks; null: Google's own."
  type        = string
}
