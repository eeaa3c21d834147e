# Registries of the two images: one for the services, one for Spark.

data "aws_region" "current" {}

resource "aws_ecr_repository" "this" {
  for_each             = toset(["services", "spark"])
  name                 = "${var.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.force_destroy

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each   = aws_ecr_repository.this
  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last ones, to roll back to"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = var.keep }
      action       = { type = "expire" }
    }]
  })
}

# EMR Serverless takes its image itself, before any role of ours is there.
resource "aws_ecr_repository_policy" "spark" {
  repository = aws_ecr_repository.this["spark"].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EmrServerless"
      Effect    = "Allow"
      Principal = { Service = "emr-serverless.amazonaws.com" }
      Action    = ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"]
      Condition = {
        StringLike = {
          "aws:SourceArn" = "arn:${var.partition}:emr-serverless:${data.aws_region.current.region}:${var.account_id}:/applications/*"
        }
      }
    }]
  })
}
