# Spark: an EMR Serverless application, and the role its job runs have. Job runs are started by hand or by a script
# (docs/cloud.md): a stream is not infrastructure.

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/spark"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_emrserverless_application" "this" {
  name          = var.name
  release_label = var.release
  type          = "spark"
  architecture  = "X86_64"

  maximum_capacity {
    cpu    = var.capacity.cpu
    memory = var.capacity.memory
    disk   = var.capacity.disk
  }

  network_configuration {
    subnet_ids         = var.subnets
    security_group_ids = [var.security_group]
  }

  auto_start_configuration {
    enabled = true
  }

  auto_stop_configuration {
    enabled              = true
    idle_timeout_minutes = 15
  }

  # until an image was pushed, the application has EMR's own
  dynamic "image_configuration" {
    for_each = var.image == null ? [] : [var.image]

    content {
      image_uri = image_configuration.value
    }
  }
}

resource "aws_iam_role" "job" {
  name = "${var.name}-engine"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "emr-serverless.amazonaws.com" }
      Condition = { ArnLike = { "aws:SourceArn" = aws_emrserverless_application.this.arn } }
    }]
  })
}

locals {
  lake        = var.bucket_arns["lake"]
  checkpoints = var.bucket_arns["checkpoints"]

  statements = concat(
    [
      {
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:GetBucketLocation"]
        Resource = [local.lake, local.checkpoints]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = ["${local.lake}/*", "${local.checkpoints}/*"]
      },
      {
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = [var.kms_key_arn]
      },
      {
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
        Resource = var.store_secret_arns
      },
      {
        # which groups there are is asked about all of them
        Effect   = "Allow"
        Action   = ["logs:DescribeLogGroups"]
        Resource = ["*"]
      },
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
      },
    ],
    var.broker_statements,
  )
}

resource "aws_iam_role_policy" "job" {
  name   = "what-spark-needs"
  role   = aws_iam_role.job.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}
