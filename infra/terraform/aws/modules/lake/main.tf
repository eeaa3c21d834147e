# Three buckets: the lake, Spark's checkpoints, MLflow's artifacts. And the archive as a table for Athena.

locals {
  buckets = toset(["lake", "checkpoints", "artifacts"])
  place   = "s3://${aws_s3_bucket.this["lake"].bucket}/archive/${var.topic}"
}

resource "aws_s3_bucket" "this" {
  for_each      = local.buckets
  bucket        = "${var.name}-${each.key}-${var.account_id}"
  force_destroy = var.force_destroy
  tags          = { Name = "${var.name}-${each.key}" }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each                = local.buckets
  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_policy" "encrypted_transport" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyByTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.this[each.key].arn, "${aws_s3_bucket.this[each.key].arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.this[each.key].id

  rule {
    id     = "what-was-replaced"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      # a checkpoint writes small files without end: old versions of them help nobody
      noncurrent_days = each.key == "checkpoints" ? 1 : var.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  dynamic "rule" {
    for_each = each.key == "lake" ? ["archive"] : []

    content {
      id     = "old-messages"
      status = "Enabled"

      filter {
        prefix = "archive/"
      }

      transition {
        days          = var.archive_days_until_cold
        storage_class = "GLACIER_IR"
      }
    }
  }

  # each batch of the archive is renamed, which in S3 is a copy: nobody needs what it was copied from
  dynamic "rule" {
    for_each = each.key == "lake" ? ["archive/_staging/"] : []

    content {
      id     = "written-batches"
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      noncurrent_version_expiration {
        noncurrent_days = 1
      }
    }
  }

  dynamic "rule" {
    for_each = each.key == "checkpoints" ? ["generate-"] : []

    content {
      id     = "fleets-that-ended"
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      expiration {
        days = 7
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

# ---- the archive as a table

resource "aws_glue_catalog_database" "this" {
  name        = replace(var.name, "-", "_")
  description = "Smartwatch readings: the archive of raw messages."
}

# Columns as activitymodule/streaming/archive.py writes them (folders that begin with _ are not read). Days are projected from the folder names, so that
# nothing has to crawl and no partition has to be added.
resource "aws_glue_catalog_table" "archive" {
  name          = "archive"
  database_name = aws_glue_catalog_database.this.name
  description   = "Every raw message of the topic ${var.topic}, by the date of its arrival (UTC); the same message may stand in it twice: topic_id, partition, offset and timestamp are equal then."
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    EXTERNAL                    = "TRUE"
    classification              = "parquet"
    "projection.enabled"        = "true"
    "projection.date.type"      = "date"
    "projection.date.format"    = "yyyy-MM-dd"
    "projection.date.range"     = "${var.archive_from},NOW"
    "storage.location.template" = "${local.place}/date=$${date}"
  }

  partition_keys {
    name    = "date"
    type    = "date"
    comment = "day of arrival, UTC"
  }

  storage_descriptor {
    location      = local.place
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      name                  = "parquet"
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    }

    dynamic "columns" {
      for_each = [
        ["key", "binary", "the watch"],
        ["value", "binary", "the message: JSON, one reading or an array"],
        ["partition", "int", "partition of the topic"],
        ["offset", "bigint", "place in the partition"],
        ["timestamp", "timestamp", "when it reached Kafka"],
        ["timestamptype", "int", "0: by the sender's clock, 1: by Kafka's"],
        ["topic_id", "string", "Kafka's id of the topic; null where it is not known"],
      ]

      content {
        name    = columns.value[0]
        type    = columns.value[1]
        comment = columns.value[2]
      }
    }
  }
}
