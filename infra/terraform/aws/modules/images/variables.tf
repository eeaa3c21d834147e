variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "partition" {
  description = "Partition of the account: aws, aws-cn, aws-us-gov."
  type        = string
}

variable "account_id" {
  description = "The account whose Spark application may take the image."
  type        = string
}

variable "keep" {
  description = "How many images of each are kept."
  type        = number
  default     = 20
}

variable "kms_key_arn" {
  description = "Key of the images."
  type        = string
}

variable "force_destroy" {
  description = "Whether the registries may be destroyed with their images."
  type        = bool
}
