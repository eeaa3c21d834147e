# BigQuery: the dataset that `activity warehouse load` fills, in the location of the lake, and who loads.

resource "google_bigquery_dataset" "this" {
  dataset_id                 = var.dataset
  project                    = var.project
  location                   = var.region
  description                = "Daily records, predictions, labels and model versions, by activity warehouse load"
  delete_contents_on_destroy = var.force_destroy

  dynamic "default_encryption_configuration" {
    for_each = var.kms_key == null ? [] : [var.kms_key]

    content {
      kms_key_name = default_encryption_configuration.value
    }
  }
}

resource "google_bigquery_dataset_iam_member" "loader" {
  for_each   = var.loaders
  project    = var.project
  dataset_id = google_bigquery_dataset.this.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = "serviceAccount:${each.value}"
}

# a job is the project's, whatever it reads
resource "google_project_iam_member" "loader" {
  for_each = var.loaders
  project  = var.project
  role     = "roles/bigquery.jobUser"
  member   = "serviceAccount:${each.value}"
}
