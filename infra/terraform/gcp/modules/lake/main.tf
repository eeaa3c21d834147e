# Buckets: the lake, Spark's checkpoints, MLflow's artifacts, and one for what is submitted to Dataproc.

resource "google_storage_bucket" "this" {
  for_each                    = toset(["lake", "checkpoints", "artifacts", "staging"])
  name                        = "${var.project}-${var.name}-${each.key}"
  location                    = var.region
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.force_destroy

  versioning {
    enabled = true
  }

  # versions are what brings deleted objects back: a second way would be paid for twice
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]

    content {
      default_kms_key_name = encryption.value
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      # a checkpoint writes small files without end: old versions of them help nobody
      days_since_noncurrent_time = each.key == "checkpoints" ? 1 : var.noncurrent_days
      with_state                 = "ARCHIVED"
    }
  }

  dynamic "lifecycle_rule" {
    for_each = each.key == "lake" ? ["archive"] : []

    content {
      action {
        type          = "SetStorageClass"
        storage_class = "COLDLINE"
      }

      condition {
        age            = var.archive_days_until_cold
        matches_prefix = ["archive/"]
        with_state     = "LIVE"
      }
    }
  }

  # each batch of the archive is renamed, which here is a copy: nobody needs what it was copied from
  dynamic "lifecycle_rule" {
    for_each = each.key == "lake" ? ["archive/_staging/"] : []

    content {
      action {
        type = "Delete"
      }

      condition {
        days_since_noncurrent_time = 1
        matches_prefix             = [lifecycle_rule.value]
        with_state                 = "ARCHIVED"
      }
    }
  }

  # a fleet's checkpoint is of no use once it ended
  dynamic "lifecycle_rule" {
    for_each = each.key == "checkpoints" ? ["generate-"] : []

    content {
      action {
        type = "Delete"
      }

      condition {
        age            = 7
        matches_prefix = [lifecycle_rule.value]
        with_state     = "LIVE"
      }
    }
  }

  dynamic "lifecycle_rule" {
    for_each = each.key == "staging" ? ["old"] : []

    content {
      action {
        type = "Delete"
      }

      condition {
        age        = 30
        with_state = "LIVE"
      }
    }
  }
}
