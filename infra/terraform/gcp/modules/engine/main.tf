# Spark: batches of Dataproc Serverless run as this account. There is nothing else to make: a batch is submitted by
# hand or by a script (docs/cloud.md).

locals {
  member = "serviceAccount:${var.account}"
}

# what Dataproc asks of an account that runs batches
resource "google_project_iam_member" "worker" {
  project = var.project
  role    = "roles/dataproc.worker"
  member  = local.member
}

resource "google_storage_bucket_iam_member" "files" {
  for_each = var.buckets
  bucket   = each.value
  role     = "roles/storage.objectUser"
  member   = local.member
}

resource "google_secret_manager_secret_iam_member" "store" {
  for_each  = toset(var.store_secrets)
  project   = var.project
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = local.member
}

# ---- who submits batches: `activity cloud run`, `list`, `logs`, `stop`, and the DAG preprocess_on_emr

resource "google_project_iam_custom_role" "submitter" {
  project     = var.project
  role_id     = "${replace(var.name, "-", "_")}_batches"
  title       = "${var.name}: batches of Dataproc"
  description = "Submits, follows, cancels and removes batches; no clusters"
  permissions = [
    "dataproc.batches.cancel", "dataproc.batches.create", "dataproc.batches.delete", "dataproc.batches.get",
    "dataproc.batches.list", "dataproc.operations.cancel", "dataproc.operations.get",
  ]
}

resource "google_project_iam_member" "submitter" {
  for_each = var.submitters
  project  = var.project
  role     = google_project_iam_custom_role.submitter.id
  member   = "serviceAccount:${each.value}"
}

# a batch runs as the account: who submits one must be allowed to use it
resource "google_service_account_iam_member" "submitter" {
  for_each           = var.submitters
  service_account_id = "projects/${var.project}/serviceAccounts/${var.account}"
  role               = "roles/iam.serviceAccountUser"
  member             = "serviceAccount:${each.value}"
}
