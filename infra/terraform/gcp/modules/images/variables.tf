variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "project" {
  description = "The project."
  type        = string
}

variable "region" {
  description = "Region of the registry."
  type        = string
}

variable "readers" {
  description = "Service accounts (addresses) that take images from it."
  type        = list(string)
}

variable "keep" {
  description = "How many images are kept, however old."
  type        = number
  default     = 20
}

variable "kms_key" {
  description = "Key of the images; null: Google's own."
  type        = string
}
