# What this project costs, and a disk that runs full, by mail. A budget stops nothing.

resource "google_monitoring_notification_channel" "this" {
  for_each     = toset(var.emails)
  display_name = "${var.name}: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }
}

locals {
  channels = [for channel in google_monitoring_notification_channel.this : channel.id]
}

resource "google_billing_budget" "this" {
  count           = var.billing_account == null ? 0 : 1
  billing_account = var.billing_account
  display_name    = var.name

  budget_filter {
    projects = ["projects/${var.project_number}"]
  }

  # in the currency of the billing account
  amount {
    specified_amount {
      units = tostring(var.amount)
    }
  }

  threshold_rules {
    threshold_percent = 0.8
  }

  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    # a budget takes five at the most
    monitoring_notification_channels = slice(local.channels, 0, min(5, length(local.channels)))
  }
}

resource "google_monitoring_alert_policy" "store" {
  display_name          = "${var.name}: the store's disk"
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = "more than 80 % is used"

    condition_threshold {
      filter          = "resource.type = \"cloudsql_database\" AND metric.type = \"cloudsql.googleapis.com/database/disk/utilization\" AND resource.labels.database_id = \"${var.project}:${var.store}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0.8
      duration        = "900s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }
}
