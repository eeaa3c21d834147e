# What who submits jobs may do: `activity cloud run`, `list`, `logs`, `stop`, and the DAG preprocess_on_emr. What is
# staged and logged lies in the lake, whose rights who submits has anyway.

locals {
  serverless = aws_emrserverless_application.this.arn
  clusters   = "arn:${var.partition}:elasticmapreduce:${var.region}:${var.account_id}:cluster/*"

  # the application is there: none is made
  submitting = [
    {
      Effect   = "Allow"
      Action   = ["emr-serverless:ListApplications"]
      Resource = ["arn:${var.partition}:emr-serverless:${var.region}:${var.account_id}:/*"]
    },
    {
      Effect = "Allow"
      Action = [
        "emr-serverless:GetApplication", "emr-serverless:StartApplication", "emr-serverless:StartJobRun",
        "emr-serverless:GetJobRun", "emr-serverless:ListJobRuns", "emr-serverless:CancelJobRun",
      ]
      Resource = [local.serverless, "${local.serverless}/jobruns/*"]
    },
    {
      # which clusters there are is asked about all of them; a new one has no name yet
      Effect   = "Allow"
      Action   = ["elasticmapreduce:ListClusters"]
      Resource = ["*"]
    },
    {
      Effect    = "Allow"
      Action    = ["elasticmapreduce:RunJobFlow", "elasticmapreduce:AddTags"]
      Resource  = ["*"]
      Condition = { StringEquals = { "elasticmapreduce:RequestTag/managed-by" = "activity-cloud" } }
    },
    {
      Effect = "Allow"
      Action = [
        "elasticmapreduce:DescribeCluster", "elasticmapreduce:ListSteps", "elasticmapreduce:DescribeStep",
        "elasticmapreduce:AddJobFlowSteps", "elasticmapreduce:CancelSteps", "elasticmapreduce:TerminateJobFlows",
      ]
      Resource  = [local.clusters]
      Condition = { StringEquals = { "elasticmapreduce:ResourceTag/managed-by" = "activity-cloud" } }
    },
    {
      # whether they are there and trusted is said before anything is made
      Effect = "Allow"
      Action = ["iam:GetRole", "iam:GetInstanceProfile"]
      Resource = [
        aws_iam_role.job.arn, aws_iam_role.cluster.arn, aws_iam_role.nodes.arn, aws_iam_instance_profile.nodes.arn,
      ]
    },
    {
      Effect   = "Allow"
      Action   = ["iam:PassRole"]
      Resource = [aws_iam_role.job.arn, aws_iam_role.cluster.arn, aws_iam_role.nodes.arn]
      Condition = {
        StringEquals = {
          "iam:PassedToService" = [
            "emr-serverless.amazonaws.com", "elasticmapreduce.amazonaws.com", "ec2.amazonaws.com",
          ]
        }
      }
    },
  ]
}
