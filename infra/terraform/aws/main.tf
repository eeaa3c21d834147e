data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  tags = merge(var.tags, {
    project     = "activity"
    deployment  = var.name
    environment = var.environment
    managed-by  = "terraform"
  })
}

# One key for all that is kept. Who may use it is said by the roles' own policies; the log service and alarms, which
# have no role, are let in here.
resource "aws_kms_key" "this" {
  description             = "${var.name}: lake, broker, store, images, logs, secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheAccountsOwnPolicies"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = {
          ArnLike = {
            "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${var.region}:${local.account_id}:log-group:/${var.name}/*"
          }
        }
      },
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

module "network" {
  source        = "./modules/network"
  name          = var.name
  region        = var.region
  cidr          = var.vpc_cidr
  zones         = var.availability_zones
  nat_per_zone  = var.nat_per_zone
  endpoints     = var.private_endpoints
  allowed_cidrs = var.allowed_cidrs
  log_days      = var.log_days
  kms_key_arn   = aws_kms_key.this.arn
}

module "lake" {
  source                  = "./modules/lake"
  name                    = var.name
  account_id              = local.account_id
  topic                   = var.topic
  archive_days_until_cold = var.archive_days_until_cold
  noncurrent_days         = var.noncurrent_days
  force_destroy           = var.force_destroy
  kms_key_arn             = aws_kms_key.this.arn
}

module "broker" {
  source           = "./modules/broker"
  name             = var.name
  kafka_version    = var.kafka_version
  instance_type    = var.kafka_instance_type
  zones            = var.availability_zones
  brokers_per_zone = var.kafka_brokers_per_zone
  volume_gib       = var.kafka_volume_gib
  subnets          = module.network.private_subnets
  security_group   = module.network.security_groups["broker"]
  topics           = [var.topic, var.truth_topic]
  log_days         = var.log_days
  kms_key_arn      = aws_kms_key.this.arn
}

module "store" {
  source           = "./modules/store"
  name             = var.name
  postgres_version = var.postgres_version
  instance_class   = var.database_instance_class
  storage_gib      = var.database_storage_gib
  multi_az         = var.database_multi_az
  backup_days      = var.database_backup_days
  subnets          = module.network.private_subnets
  security_group   = module.network.security_groups["store"]
  force_destroy    = var.force_destroy
  kms_key_arn      = aws_kms_key.this.arn
}

module "images" {
  source        = "./modules/images"
  name          = var.name
  partition     = local.partition
  account_id    = local.account_id
  force_destroy = var.force_destroy
  kms_key_arn   = aws_kms_key.this.arn
}

module "engine" {
  source            = "./modules/engine"
  name              = var.name
  release           = var.emr_release
  image             = var.image_tag == null ? null : "${module.images.urls["spark"]}:${var.image_tag}"
  capacity          = var.emr_capacity
  subnets           = module.network.private_subnets
  security_group    = module.network.security_groups["engine"]
  bucket_arns       = module.lake.bucket_arns
  store_secret_arns = values(module.store.spark_secret_arns)
  log_days          = var.log_days
  kms_key_arn       = aws_kms_key.this.arn
  partition         = local.partition
  account_id        = local.account_id
  region            = var.region

  broker_statements = concat(
    module.broker.statements.read,
    var.synthetic_fleet ? module.broker.statements.send_all : [],
  )
}

module "warehouse" {
  source         = "./modules/warehouse"
  name           = var.name
  account_id     = local.account_id
  capacity       = var.redshift_capacity
  lake_arn       = module.lake.bucket_arns["lake"]
  folders        = ["daily", "predictions", "warehouse"]
  subnets        = module.network.private_subnets
  security_group = module.network.security_groups["warehouse"]
  kms_key_arn    = aws_kms_key.this.arn
}

module "alarms" {
  count       = length(var.alarm_emails) == 0 ? 0 : 1
  source      = "./modules/alarms"
  name        = var.name
  dollars     = var.budget_dollars
  emails      = var.alarm_emails
  store       = module.store.identifier
  cluster     = var.name
  brokers     = var.availability_zones * var.kafka_brokers_per_zone
  kms_key_arn = aws_kms_key.this.arn
}

module "entrance" {
  source          = "./modules/entrance"
  name            = var.name
  vpc_id          = module.network.vpc_id
  public_subnets  = module.network.public_subnets
  private_subnets = module.network.private_subnets
  security_groups = module.network.security_groups
  domain          = var.domain
  certificate_arn = var.certificate_arn
}
