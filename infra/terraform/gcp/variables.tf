variable "project" {
  description = "Id of the project everything stands in."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be the id of a project: 6 to 30 lower case letters, digits and dashes."
  }
}

variable "region" {
  description = "Region everything stands in, such as europe-west3."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be the name of a region of Google Cloud, such as europe-west3."
  }
}

variable "name" {
  description = "Name of this deployment; every resource begins with it."
  type        = string
  default     = "activity"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 16 characters: lower case letters, digits and dashes, a letter first."
  }
}

variable "environment" {
  description = "What this deployment is for; a label of every resource."
  type        = string
  default     = "test"

  validation {
    condition     = contains(["test", "staging", "production"], var.environment)
    error_message = "environment must be test, staging or production."
  }
}

variable "labels" {
  description = "Further labels of every resource."
  type        = map(string)
  default     = {}
}

variable "kms_key" {
  description = "Key of lake, broker, store, images and warehouse: projects/P/locations/L/keyRings/R/cryptoKeys/K, in this region. Null: all is encrypted with Google's own keys. With a key, first let the service agents of these services use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key))
    error_message = "kms_key must be projects/P/locations/L/keyRings/R/cryptoKeys/K."
  }
}

# ---- network

variable "subnet_cidr" {
  description = "Addresses of the subnet, a /16 to /22."
  type        = string
  default     = "10.40.0.0/20"

  validation {
    condition     = can(cidrhost(var.subnet_cidr, 0)) && try(tonumber(split("/", var.subnet_cidr)[1]) >= 16 && tonumber(split("/", var.subnet_cidr)[1]) <= 22, false)
    error_message = "subnet_cidr must be an IPv4 block between /16 and /22."
  }
}

variable "allowed_cidrs" {
  description = "Who may reach the console through the public load balancer. There is no default: name your networks."
  type        = list(string)

  validation {
    condition     = length(var.allowed_cidrs) > 0 && length(var.allowed_cidrs) <= 10 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs must be 1 to 10 IPv4 blocks, such as [\"203.0.113.0/24\"]."
  }

  validation {
    condition     = alltrue([for cidr in var.allowed_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, false)])
    error_message = "allowed_cidrs must not be open to the world: each block needs a prefix of /8 or longer."
  }
}

variable "domain" {
  description = "Domain of the console: console.DOMAIN, for which Google makes a certificate once the name points here."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain must be a domain name in lower case, such as activity.example.org."
  }
}

# ---- lake

variable "archive_days_until_cold" {
  description = "After so many days the archive's files move to Coldline, which is cheaper to keep and dearer to read."
  type        = number
  default     = 90

  validation {
    condition     = var.archive_days_until_cold >= 30
    error_message = "archive_days_until_cold must be 30 or more."
  }
}

variable "noncurrent_days" {
  description = "How long replaced or deleted objects can be had back."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "noncurrent_days must be 1 or more."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may empty buckets and drop the store."
  type        = bool
  default     = false
}

# ---- broker

variable "kafka_capacity" {
  description = "Size of the Kafka cluster: vCPUs (3 or more), and GiB of memory, 1 to 8 for each of them."
  type        = object({ vcpus = number, memory_gib = number })
  default     = { vcpus = 3, memory_gib = 6 }

  validation {
    condition     = var.kafka_capacity.vcpus >= 3 && var.kafka_capacity.memory_gib >= var.kafka_capacity.vcpus && var.kafka_capacity.memory_gib <= 8 * var.kafka_capacity.vcpus
    error_message = "kafka_capacity needs 3 vCPUs or more, and 1 to 8 GiB for each of them."
  }
}

variable "topic" {
  description = "The topic of readings; the same as kafka.topic."
  type        = string
  default     = "ticker-watch-data"
}

variable "truth_topic" {
  description = "The topic of truth; the same as kafka.truth_topic."
  type        = string
  default     = "ticker-watch-truth"
}

# ---- store

variable "postgres_version" {
  description = "Version of PostgreSQL as Cloud SQL names it."
  type        = string
  default     = "POSTGRES_18"

  validation {
    condition     = can(regex("^POSTGRES_(1[6-9]|[2-9][0-9])$", var.postgres_version))
    error_message = "postgres_version must be POSTGRES_16 or newer."
  }
}

variable "database_tier" {
  description = "Size of the store."
  type        = string
  default     = "db-custom-2-7680"
}

variable "database_storage_gib" {
  description = "Disk of the store at first, and at the most."
  type        = object({ initial = number, most = number })
  default     = { initial = 50, most = 500 }

  validation {
    condition     = var.database_storage_gib.initial >= 10 && var.database_storage_gib.most >= var.database_storage_gib.initial
    error_message = "database_storage_gib needs initial >= 10 and most >= initial."
  }
}

variable "database_regional" {
  description = "Whether a second instance in another zone stands ready."
  type        = bool
  default     = false
}

variable "database_backups" {
  description = "How many daily backups are kept."
  type        = number
  default     = 7

  validation {
    condition     = var.database_backups >= 1 && var.database_backups <= 365
    error_message = "database_backups must be 1 to 365."
  }
}

# ---- engine

variable "synthetic_fleet" {
  description = "Whether the engine may also write to the topics, as `activity generate` does."
  type        = bool
  default     = false
}

# ---- services

variable "image_tag" {
  description = "Tag of both images in Artifact Registry. Null: nothing runs yet (the first apply makes the registry to push to)."
  type        = string
  default     = null
}

variable "run_services" {
  description = "Whether console, MLflow and Airflow run. False for the first apply with an image: their databases must be made first."
  type        = bool
  default     = true
}

# ---- what it costs, and what runs full

variable "alarm_emails" {
  description = "Who is told by mail of budget and full disk. Empty: no alarm and no budget."
  type        = list(string)
  default     = []
}

variable "billing_account" {
  description = "Billing account of the budget. Null: no budget. Who applies needs roles/billing.costsManager on it."
  type        = string
  default     = null
}

variable "budget_amount" {
  description = "Budget of a month in whole units of the account's currency, told at 80 % and when the forecast passes it."
  type        = number
  default     = 500

  validation {
    condition     = var.budget_amount > 0 && floor(var.budget_amount) == var.budget_amount
    error_message = "budget_amount must be a whole number above 0."
  }
}
