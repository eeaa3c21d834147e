# Kafka: brokers in private subnets, TLS everywhere, and IAM says who may do what. No passwords, no other way in.

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/kafka"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_msk_configuration" "this" {
  name           = "${var.name}-${replace(var.kafka_version, ".", "-")}"
  kafka_versions = [var.kafka_version]
  description    = "Topics are made by `activity topics create`, never by a typing error."

  server_properties = <<-EOT
    auto.create.topics.enable=false
    default.replication.factor=${var.zones}
    min.insync.replicas=${var.zones > 2 ? 2 : 1}
    unclean.leader.election.enable=false
    log.message.timestamp.type=LogAppendTime
    message.max.bytes=1048588
  EOT

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_msk_cluster" "this" {
  cluster_name           = var.name
  kafka_version          = var.kafka_version
  number_of_broker_nodes = var.zones * var.brokers_per_zone

  broker_node_group_info {
    instance_type   = var.instance_type
    client_subnets  = var.subnets
    security_groups = [var.security_group]

    storage_info {
      ebs_storage_info {
        volume_size = var.volume_gib
      }
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.this.arn
    revision = aws_msk_configuration.this.latest_revision
  }

  client_authentication {
    unauthenticated = false

    sasl {
      iam = true
    }
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = var.kms_key_arn

    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  open_monitoring {
    prometheus {
      jmx_exporter {
        enabled_in_broker = false
      }

      node_exporter {
        enabled_in_broker = false
      }
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.this.name
      }
    }
  }
}

# What a client may be let do, as statements of a policy. ARNs of topics and groups follow from the cluster's.
locals {
  cluster  = aws_msk_cluster.this.arn
  topics   = [for topic in var.topics : "${replace(local.cluster, ":cluster/", ":topic/")}/${topic}"]
  readings = [local.topics[0]]

  connect = {
    Effect   = "Allow"
    Action   = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"]
    Resource = [local.cluster]
  }

  statements = {
    read = [
      local.connect,
      {
        Effect   = "Allow"
        Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:ReadData"]
        Resource = local.topics
      },
      {
        # Spark names a group for every query; it commits nothing to it
        Effect   = "Allow"
        Action   = ["kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup"]
        Resource = ["${replace(local.cluster, ":cluster/", ":group/")}/spark-kafka-*"]
      },
    ]

    send_readings = [
      local.connect,
      {
        Effect   = "Allow"
        Action   = ["kafka-cluster:WriteDataIdempotently"]
        Resource = [local.cluster]
      },
      {
        Effect   = "Allow"
        Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]
        Resource = local.readings
      },
    ]

    send_all = [
      local.connect,
      {
        Effect   = "Allow"
        Action   = ["kafka-cluster:WriteDataIdempotently"]
        Resource = [local.cluster]
      },
      {
        Effect   = "Allow"
        Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]
        Resource = local.topics
      },
    ]

    make_topics = [
      local.connect,
      {
        Effect = "Allow"
        Action = [
          "kafka-cluster:CreateTopic",
          "kafka-cluster:DescribeTopic",
          "kafka-cluster:DescribeTopicDynamicConfiguration",
          "kafka-cluster:AlterTopic",
          "kafka-cluster:AlterTopicDynamicConfiguration",
          "kafka-cluster:ReadData",
        ]
        Resource = local.topics
      },
    ]
  }
}
