# PostgreSQL for the store, MLflow's registry and Airflow. Its administrator's password is made and kept by RDS in
# Secrets Manager; the passwords of the services are put into a second secret by hand (docs/cloud.md), so that
# Terraform's state holds none.

locals {
  major = split(".", var.postgres_version)[0]
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnets
}

resource "aws_db_parameter_group" "this" {
  name        = "${var.name}-postgres${local.major}"
  family      = "postgres${local.major}"
  description = "TLS only; slow statements are logged."

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "this" {
  identifier     = var.name
  engine         = "postgres"
  engine_version = var.postgres_version
  instance_class = var.instance_class
  username       = "postgres"

  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn

  storage_type          = "gp3"
  allocated_storage     = var.storage_gib.initial
  max_allocated_storage = var.storage_gib.most
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [var.security_group]
  parameter_group_name   = aws_db_parameter_group.this.name
  publicly_accessible    = false
  multi_az               = var.multi_az

  backup_retention_period         = var.backup_days
  auto_minor_version_upgrade      = true
  copy_tags_to_snapshot           = true
  deletion_protection             = !var.force_destroy
  skip_final_snapshot             = var.force_destroy
  final_snapshot_identifier       = "${var.name}-last"
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.kms_key_arn
}

# An empty box: what goes in is said in docs/cloud.md.
resource "aws_secretsmanager_secret" "services" {
  name                    = "${var.name}/services"
  description             = "JSON: store_password (of the owner), store_console_password and so for each role of sql/roles.sql, console_secret, airflow_password, registry_password, airflow_fernet, airflow_jwt, airflow_session, airflow_database"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.force_destroy ? 0 : 7
}

# Secrets of their own: EMR Serverless takes a secret whole, not a key of it.
resource "aws_secretsmanager_secret" "spark" {
  for_each                = toset(["scorer", "generator"])
  name                    = "${var.name}/store-${each.key}-password"
  description             = "The password of the store's role activity_${each.key}, as plain text"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.force_destroy ? 0 : 7
}

resource "aws_secretsmanager_secret" "registry" {
  name                    = "${var.name}/registry-password"
  description             = "The password of MLflow's user, as plain text"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.force_destroy ? 0 : 7
}
