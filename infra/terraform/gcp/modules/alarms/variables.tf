variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "project" {
  description = "The project."
  type        = string
}

variable "project_number" {
  description = "Its number, by which budgets know it."
  type        = string
}

variable "emails" {
  description = "Who is told."
  type        = list(string)
}

variable "billing_account" {
  description = "Billing account of the budget; null: no budget."
  type        = string
}

variable "amount" {
  description = "Budget of a month, in whole units of the account's currency."
  type        = number
}

variable "store" {
  description = "Name of the store's instance."
  type        = string
}
