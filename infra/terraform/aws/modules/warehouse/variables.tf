variable "name" {
  description = "Name of the deployment, of the namespace and of the workgroup."
  type        = string
}

variable "account_id" {
  description = "The account."
  type        = string
}

variable "capacity" {
  description = "RPUs at first and at the most; null: no workgroup, only the role."
  type        = object({ base = number, most = number })
}

variable "lake_arn" {
  description = "ARN of the lake's bucket."
  type        = string
}

variable "folders" {
  description = "Folders of the lake that are loaded."
  type        = list(string)
}

variable "subnets" {
  description = "Private subnets, of three zones."
  type        = list(string)
}

variable "security_group" {
  description = "Security group of the workgroup."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of lake, warehouse and its administrator's password."
  type        = string
}
