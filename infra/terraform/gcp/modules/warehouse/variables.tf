variable "project" {
  description = "The project."
  type        = string
}

variable "region" {
  description = "Location of the dataset: that of the lake."
  type        = string
}

variable "dataset" {
  description = "Name of the dataset."
  type        = string
}

variable "loaders" {
  description = "Service accounts (addresses) that load, by name."
  type        = map(string)
}

variable "force_destroy" {
  description = "Whether the dataset may be destroyed with its tables."
  type        = bool
}

variable "kms_key" {
  description = "Key of the tables; null: Google's own."
  type        = string
}
