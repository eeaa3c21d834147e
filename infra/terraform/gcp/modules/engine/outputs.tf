output "account" {
  description = "For `gcloud dataproc batches submit --service-account`, once it may do what it must."
  value       = var.account

  depends_on = [
    google_project_iam_member.worker,
    google_storage_bucket_iam_member.files,
    google_secret_manager_secret_iam_member.store,
  ]
}
