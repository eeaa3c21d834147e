data "google_project" "this" {
  project_id = var.project
}

locals {
  labels = merge(var.labels, {
    project     = "activity"
    deployment  = var.name
    environment = var.environment
    managed-by  = "terraform"
  })

  # who is who; a service account's address follows from its id
  accounts = {
    for name, account in google_service_account.this :
    name => "${account.account_id}@${var.project}.iam.gserviceaccount.com"
  }
}

resource "google_project_service" "this" {
  for_each = toset([
    "artifactregistry", "bigquery", "billingbudgets", "compute", "dataproc", "managedkafka", "monitoring", "run",
    "secretmanager", "servicenetworking", "sqladmin", "storage",
  ])
  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_service_account" "this" {
  for_each = {
    engine        = "Spark"
    console       = "The console"
    registry      = "MLflow"
    orchestration = "Airflow"
    admin         = "Single commands"
  }
  account_id   = "${var.name}-${each.key}"
  display_name = each.value
}

module "network" {
  source = "./modules/network"
  name   = var.name
  region = var.region
  cidr   = var.subnet_cidr

  depends_on = [google_project_service.this]
}

module "lake" {
  source                  = "./modules/lake"
  name                    = var.name
  project                 = var.project
  region                  = var.region
  archive_days_until_cold = var.archive_days_until_cold
  noncurrent_days         = var.noncurrent_days
  force_destroy           = var.force_destroy
  kms_key                 = var.kms_key
}

module "broker" {
  source      = "./modules/broker"
  name        = var.name
  project     = var.project
  region      = var.region
  subnet      = module.network.subnet
  capacity    = var.kafka_capacity
  topics      = [var.topic, var.truth_topic]
  readers     = [local.accounts["engine"]]
  senders     = concat([local.accounts["console"]], var.synthetic_fleet ? [local.accounts["engine"]] : [])
  topic_maker = local.accounts["admin"]
  kms_key     = var.kms_key
}

module "store" {
  source           = "./modules/store"
  name             = var.name
  region           = var.region
  postgres_version = var.postgres_version
  tier             = var.database_tier
  storage_gib      = var.database_storage_gib
  regional         = var.database_regional
  backups          = var.database_backups
  network          = module.network.network
  force_destroy    = var.force_destroy
  kms_key          = var.kms_key
}

module "images" {
  source  = "./modules/images"
  name    = var.name
  project = var.project
  region  = var.region
  readers = values(local.accounts)
  kms_key = var.kms_key
}

module "engine" {
  source     = "./modules/engine"
  name       = var.name
  project    = var.project
  account    = local.accounts["engine"]
  submitters = { orchestration = local.accounts["orchestration"] }
  buckets    = { for name in ["lake", "checkpoints", "staging"] : name => module.lake.buckets[name] }
  store_secrets = [
    for name in ["store-scorer-password", "store-generator-password", "registry-password"] : module.store.secrets[name]
  ]
}

module "warehouse" {
  source        = "./modules/warehouse"
  project       = var.project
  region        = var.region
  dataset       = replace(var.name, "-", "_")
  loaders       = { for name in ["orchestration", "admin"] : name => local.accounts[name] }
  force_destroy = var.force_destroy
  kms_key       = var.kms_key

  depends_on = [google_project_service.this]
}

module "alarms" {
  count           = length(var.alarm_emails) == 0 ? 0 : 1
  source          = "./modules/alarms"
  name            = var.name
  project         = var.project
  project_number  = data.google_project.this.number
  emails          = var.alarm_emails
  billing_account = var.billing_account
  amount          = var.budget_amount
  store           = module.store.instance

  depends_on = [google_project_service.this]
}

module "entrance" {
  count         = local.running ? 1 : 0
  source        = "./modules/entrance"
  name          = var.name
  region        = var.region
  service       = module.console[0].service
  domain        = var.domain
  allowed_cidrs = var.allowed_cidrs
}
