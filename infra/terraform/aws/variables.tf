variable "region" {
  description = "Region everything stands in, such as eu-central-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the name of an AWS region, such as eu-central-1."
  }
}

variable "name" {
  description = "Name of this deployment; every resource begins with it."
  type        = string
  default     = "activity"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 20 characters: lower case letters, digits and dashes, a letter first."
  }
}

variable "environment" {
  description = "What this deployment is for; a tag of every resource."
  type        = string
  default     = "test"

  validation {
    condition     = contains(["test", "staging", "production"], var.environment)
    error_message = "environment must be test, staging or production."
  }
}

variable "tags" {
  description = "Further tags of every resource."
  type        = map(string)
  default     = {}
}

# ---- network

variable "vpc_cidr" {
  description = "Addresses of the VPC, a /16 to /20."
  type        = string
  default     = "10.40.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "vpc_cidr must be an IPv4 block between /16 and /20."
  }
}

variable "availability_zones" {
  description = "In how many zones subnets, brokers and services stand."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.availability_zones)
    error_message = "availability_zones must be 2 or 3."
  }
}

variable "nat_per_zone" {
  description = "A NAT gateway in every zone (true) or one for all of them (false: cheaper, and a zone's failure cuts off all)."
  type        = bool
  default     = false
}

variable "private_endpoints" {
  description = "Whether AWS's interfaces (images, logs, secrets, keys, Kafka's and EMR's rights) are reached by endpoints in the VPC and not by NAT; each costs by the hour and zone."
  type        = bool
  default     = false
}

variable "allowed_cidrs" {
  description = "Who may reach the console through the public load balancer. There is no default: name your networks."
  type        = list(string)

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs must be a list of IPv4 blocks, such as [\"203.0.113.0/24\"]."
  }

  validation {
    condition     = alltrue([for cidr in var.allowed_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, false)])
    error_message = "allowed_cidrs must not be open to the world: each block needs a prefix of /8 or longer."
  }
}

variable "domain" {
  description = "Domain of the services: console.DOMAIN is public, mlflow.DOMAIN and airflow.DOMAIN resolve inside the VPC only."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain must be a domain name in lower case, such as activity.example.org."
  }
}

variable "certificate_arn" {
  description = "ARN of an ACM certificate of this region for console.DOMAIN, mlflow.DOMAIN and airflow.DOMAIN (*.DOMAIN)."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of an ACM certificate."
  }
}

# ---- lake

variable "archive_days_until_cold" {
  description = "After so many days the archive's files move to Glacier Instant Retrieval, which is cheaper to keep and dearer to read."
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
  description = "Whether `terraform destroy` may empty buckets, delete images and drop the store without a last snapshot."
  type        = bool
  default     = false
}

# ---- broker

variable "kafka_version" {
  description = "Version of Kafka as MSK names it."
  type        = string
  default     = "3.9.x.kraft"
}

variable "kafka_instance_type" {
  description = "Size of a broker."
  type        = string
  default     = "kafka.m7g.large"

  validation {
    condition     = startswith(var.kafka_instance_type, "kafka.")
    error_message = "kafka_instance_type must begin with kafka., such as kafka.m7g.large."
  }
}

variable "kafka_brokers_per_zone" {
  description = "Brokers in each zone."
  type        = number
  default     = 1

  validation {
    condition     = var.kafka_brokers_per_zone >= 1 && var.kafka_brokers_per_zone <= 10
    error_message = "kafka_brokers_per_zone must be 1 to 10."
  }
}

variable "kafka_volume_gib" {
  description = "Disk of a broker; it holds kafka.retention_hours of messages, as often as topics are replicated."
  type        = number
  default     = 200

  validation {
    condition     = var.kafka_volume_gib >= 1 && var.kafka_volume_gib <= 16384
    error_message = "kafka_volume_gib must be 1 to 16384."
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
  description = "Version of PostgreSQL: the major one, RDS takes its newest minor."
  type        = string
  default     = "18"

  validation {
    condition     = try(tonumber(split(".", var.postgres_version)[0]) >= 16, false)
    error_message = "postgres_version must be 16 or newer."
  }
}

variable "database_instance_class" {
  description = "Size of the store."
  type        = string
  default     = "db.t4g.medium"

  validation {
    condition     = startswith(var.database_instance_class, "db.")
    error_message = "database_instance_class must begin with db., such as db.t4g.medium."
  }
}

variable "database_storage_gib" {
  description = "Disk of the store at first, and at the most."
  type        = object({ initial = number, most = number })
  default     = { initial = 50, most = 500 }

  validation {
    condition     = var.database_storage_gib.initial >= 20 && var.database_storage_gib.most >= var.database_storage_gib.initial
    error_message = "database_storage_gib needs initial >= 20 and most >= initial."
  }
}

variable "database_multi_az" {
  description = "Whether a second instance in another zone stands ready."
  type        = bool
  default     = false
}

variable "database_backup_days" {
  description = "How far back the store can be set."
  type        = number
  default     = 7

  validation {
    condition     = var.database_backup_days >= 1 && var.database_backup_days <= 35
    error_message = "database_backup_days must be 1 to 35."
  }
}

# ---- engine

variable "emr_release" {
  description = "EMR release of the Spark application. emr-spark-8.0.0 has Spark 4.0.2, of the line of pyspark 4.0 that this project is pinned to."
  type        = string
  default     = "emr-spark-8.0.0"

  validation {
    condition     = startswith(var.emr_release, "emr-spark-8.")
    error_message = "emr_release must be of Spark 4.0: emr-spark-8.0.0 or a later emr-spark-8."
  }
}

variable "emr_capacity" {
  description = "The most that all job runs together may use."
  type        = object({ cpu = string, memory = string, disk = string })
  default     = { cpu = "32 vCPU", memory = "128 GB", disk = "1000 GB" }
}

variable "synthetic_fleet" {
  description = "Whether the engine may also write to the topics, as `activity generate` does."
  type        = bool
  default     = false
}

# ---- services

variable "image_tag" {
  description = "Tag of both images in ECR. Null: nothing runs yet (the first apply makes the registries to push to)."
  type        = string
  default     = null
}

variable "run_services" {
  description = "Whether console, MLflow and Airflow run. False for the first apply with an image: their databases must be made first."
  type        = bool
  default     = true
}

variable "log_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_days)
    error_message = "log_days must be a number of days CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365."
  }
}

# ---- warehouse

variable "redshift_capacity" {
  description = "RPUs of Redshift Serverless at first and at the most. Null: no workgroup is made, only the role it needs. Needs three zones."
  type        = object({ base = number, most = number })
  default     = null

  validation {
    condition     = var.redshift_capacity == null ? true : var.redshift_capacity.base >= 8 && var.redshift_capacity.most >= var.redshift_capacity.base
    error_message = "redshift_capacity needs base >= 8 and most >= base."
  }
}

# ---- what it costs, and what runs full

variable "alarm_emails" {
  description = "Who is told by mail of budget and full disks; each address must confirm. Empty: no alarms and no budget."
  type        = list(string)
  default     = []
}

variable "budget_dollars" {
  description = "Budget of a month, told at 80 % and when the forecast passes it. Null: none."
  type        = number
  default     = null

  validation {
    condition     = var.budget_dollars == null ? true : var.budget_dollars > 0
    error_message = "budget_dollars must be above 0."
  }
}
