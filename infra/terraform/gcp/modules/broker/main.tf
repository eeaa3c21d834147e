# Kafka: brokers reached from the network only, by TLS, as a service account (OAUTHBEARER).

resource "google_managed_kafka_cluster" "this" {
  cluster_id = var.name
  location   = var.region

  capacity_config {
    vcpu_count   = tostring(var.capacity.vcpus)
    memory_bytes = tostring(var.capacity.memory_gib * 1024 * 1024 * 1024)
  }

  gcp_config {
    kms_key = var.kms_key

    access_config {
      network_configs {
        subnet = var.subnet
      }
    }
  }

  rebalance_config {
    mode = "AUTO_REBALANCE_ON_SCALE_UP"
  }
}

# The role lets a client in; what it may do there is said by Kafka's own lists, topic by topic.
resource "google_project_iam_member" "client" {
  for_each = toset(concat(var.readers, var.senders, [var.topic_maker]))
  project  = var.project
  role     = "roles/managedkafka.client"
  member   = "serviceAccount:${each.value}"
}

locals {
  entries = concat(
    [for account in var.readers : { account = account, operations = ["READ", "DESCRIBE", "DESCRIBE_CONFIGS"] }],
    [for account in var.senders : { account = account, operations = ["WRITE", "DESCRIBE"] }],
    [{ account = var.topic_maker, operations = ["ALL"] }],
  )
}

resource "google_managed_kafka_acl" "topic" {
  for_each = toset(var.topics)
  acl_id   = "topic/${each.value}"
  cluster  = google_managed_kafka_cluster.this.cluster_id
  location = var.region

  dynamic "acl_entries" {
    for_each = flatten([
      for entry in local.entries : [
        for operation in entry.operations : { account = entry.account, operation = operation }
      ]
    ])

    content {
      principal       = "User:${acl_entries.value.account}"
      permission_type = "ALLOW"
      operation       = acl_entries.value.operation
      host            = "*"
    }
  }
}
