# PostgreSQL for the store, MLflow's registry and Airflow: a private address, TLS only. No password is known to
# Terraform: users and secrets are filled by hand (docs/cloud.md).

resource "google_sql_database_instance" "this" {
  name                = var.name
  region              = var.region
  database_version    = var.postgres_version
  encryption_key_name = var.kms_key
  deletion_protection = !var.force_destroy

  settings {
    tier                        = var.tier
    edition                     = "ENTERPRISE"
    availability_type           = var.regional ? "REGIONAL" : "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = var.storage_gib.initial
    disk_autoresize             = true
    disk_autoresize_limit       = var.storage_gib.most
    deletion_protection_enabled = !var.force_destroy
    retain_backups_on_delete    = !var.force_destroy

    ip_configuration {
      ipv4_enabled    = false
      private_network = var.network
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = min(var.backups, 7)

      backup_retention_settings {
        retained_backups = var.backups
        retention_unit   = "COUNT"
      }
    }

    database_flags {
      name  = "log_min_duration_statement"
      value = "1000"
    }

    insights_config {
      query_insights_enabled = true
    }
  }
}

# Empty boxes: what goes in is said in docs/cloud.md.
resource "google_secret_manager_secret" "this" {
  for_each = toset([
    "store-password", "store-generator-password", "store-scorer-password", "store-console-password",
    "store-airflow-password", "store-registry-password", "store-reader-password", "store-sender-password", "admin-password",
    "console-secret", "airflow-password",
    "airflow-database", "airflow-fernet", "airflow-jwt", "airflow-session",
    "registry-password",
  ])
  secret_id = "${var.name}-${each.key}"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}
