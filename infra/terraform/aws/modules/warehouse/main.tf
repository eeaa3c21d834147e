# Redshift: the role that COPY reads the lake by, and, where it is asked for, a serverless namespace and workgroup.
# Its administrator's password is made and kept by Redshift in Secrets Manager.

resource "aws_iam_role" "copy" {
  name = "${var.name}-redshift"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = ["redshift-serverless.amazonaws.com", "redshift.amazonaws.com"] }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

# what `activity warehouse load` loads, and nothing else of the lake
resource "aws_iam_role_policy" "copy" {
  name = "read-what-is-loaded"
  role = aws_iam_role.copy.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetBucketLocation"]
        Resource = [var.lake_arn]
      },
      {
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [var.lake_arn]
        Condition = { StringLike = { "s3:prefix" = [for folder in var.folders : "${folder}/*"] } }
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = [for folder in var.folders : "${var.lake_arn}/${folder}/*"]
      },
      {
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [var.kms_key_arn]
      },
    ]
  })
}

resource "aws_redshiftserverless_namespace" "this" {
  count                            = var.capacity == null ? 0 : 1
  namespace_name                   = var.name
  db_name                          = local.database
  default_iam_role_arn             = aws_iam_role.copy.arn
  iam_roles                        = [aws_iam_role.copy.arn]
  kms_key_id                       = var.kms_key_arn
  manage_admin_password            = true
  admin_password_secret_kms_key_id = var.kms_key_arn
  log_exports                      = ["userlog", "connectionlog"]
}

resource "aws_redshiftserverless_workgroup" "this" {
  count                = var.capacity == null ? 0 : 1
  namespace_name       = aws_redshiftserverless_namespace.this[0].namespace_name
  workgroup_name       = var.name
  base_capacity        = var.capacity.base
  max_capacity         = var.capacity.most
  subnet_ids           = var.subnets
  security_group_ids   = [var.security_group]
  publicly_accessible  = false
  enhanced_vpc_routing = true
}

locals {
  database = replace(var.name, "-", "_")

  # none where there is no workgroup; a statement's owner alone may ask about it
  loading = var.capacity == null ? [] : [
    {
      Effect   = "Allow"
      Action   = ["redshift-serverless:GetCredentials"]
      Resource = [aws_redshiftserverless_workgroup.this[0].arn]
    },
    {
      Effect   = "Allow"
      Action   = ["redshift-data:ExecuteStatement", "redshift-data:BatchExecuteStatement"]
      Resource = [aws_redshiftserverless_workgroup.this[0].arn]
    },
    {
      Effect    = "Allow"
      Action    = ["redshift-data:DescribeStatement", "redshift-data:GetStatementResult", "redshift-data:CancelStatement"]
      Resource  = ["*"]
      Condition = { StringEquals = { "redshift-data:statement-owner-iam-userid" = "$${aws:userid}" } }
    },
  ]
}
