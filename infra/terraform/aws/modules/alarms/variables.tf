variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "dollars" {
  description = "Budget of a month; null: none."
  type        = number
}

variable "emails" {
  description = "Who is told."
  type        = list(string)
}

variable "store" {
  description = "Identifier of the store's instance."
  type        = string
}

variable "cluster" {
  description = "Name of Kafka's cluster."
  type        = string
}

variable "brokers" {
  description = "How many brokers it has."
  type        = number
}

variable "kms_key_arn" {
  description = "Key of the topic."
  type        = string
}
