variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the console."
  type        = string
}

variable "service" {
  description = "Cloud Run service of the console."
  type        = string
}

variable "domain" {
  description = "Domain; the console is console.DOMAIN."
  type        = string
}

variable "allowed_cidrs" {
  description = "Who may reach the console."
  type        = list(string)
}
