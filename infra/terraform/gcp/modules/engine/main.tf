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
