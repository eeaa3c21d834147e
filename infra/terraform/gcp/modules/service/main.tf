# One service on Cloud Run: its containers, reached from inside (or through the load balancer), always one running.

locals {
  ingress = var.behind_balancer ? "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" : "INGRESS_TRAFFIC_INTERNAL_ONLY"
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each  = toset(values(var.secrets))
  project   = var.project
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${var.account}"
}

resource "google_storage_bucket_iam_member" "files" {
  for_each = var.buckets
  bucket   = each.key
  role     = each.value
  member   = "serviceAccount:${var.account}"
}

resource "google_cloud_run_v2_service" "this" {
  name                = "${var.deployment}-${var.name}"
  location            = var.region
  ingress             = local.ingress
  deletion_protection = false

  # Who may come near is said by the network: the services ask for a sign-in themselves, or are inside only.
  invoker_iam_disabled = true

  template {
    service_account  = var.account
    session_affinity = true
    timeout          = "3600s"

    scaling {
      min_instance_count = 1
      max_instance_count = 1
    }

    vpc_access {
      egress = "ALL_TRAFFIC"

      network_interfaces {
        network    = var.network
        subnetwork = var.subnet
      }
    }

    dynamic "containers" {
      for_each = var.containers

      content {
        name       = containers.value.name
        image      = var.image
        command    = containers.value.command
        depends_on = containers.value.after

        resources {
          # work goes on between requests, too
          cpu_idle          = false
          startup_cpu_boost = true
          limits            = { cpu = containers.value.cpu, memory = containers.value.memory }
        }

        dynamic "ports" {
          for_each = containers.value.port == null ? [] : [containers.value.port]

          content {
            container_port = ports.value
          }
        }

        dynamic "startup_probe" {
          for_each = containers.value.port == null ? [] : [containers.value.port]

          content {
            period_seconds    = 10
            failure_threshold = 30

            tcp_socket {
              port = startup_probe.value
            }
          }
        }

        dynamic "env" {
          for_each = merge(var.environment, containers.value.environment)

          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = var.secrets

          content {
            name = env.key

            value_source {
              secret_key_ref {
                secret  = env.value
                version = "latest"
              }
            }
          }
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.reader, google_storage_bucket_iam_member.files]
}
