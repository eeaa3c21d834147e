# What runs all the time: the console, MLflow and Airflow, on Cloud Run. They are made once an image is named, the
# secrets are filled and the databases are there.

locals {
  running = var.image_tag != null && var.run_services
  image   = "${module.images.urls["services"]}:${coalesce(var.image_tag, "none")}"

  # Cloud Run's addresses follow from names and the project's number; inside the network they lead inside
  addresses = {
    for name in ["mlflow", "airflow"] :
    name => "${var.name}-${name}-${data.google_project.this.number}.${var.region}.run.app"
  }

  # the same keys as config.yaml; config.gcp.yaml has what is the same in every deployment
  settings = {
    ACTIVITY_HOME                     = "/opt/activity"
    ACTIVITY_CONFIG                   = "config.gcp.yaml"
    ACTIVITY_KAFKA__BOOTSTRAP_SERVERS = module.broker.bootstrap_servers
    ACTIVITY_KAFKA__TOPIC             = var.topic
    ACTIVITY_KAFKA__TRUTH_TOPIC       = var.truth_topic
    ACTIVITY_STORE__HOST              = module.store.host
    ACTIVITY_REGISTRY__URI            = "https://${local.addresses["mlflow"]}"
    ACTIVITY_AIRFLOW__URI             = "https://${local.addresses["airflow"]}"
    ACTIVITY_LAKE__FOLDER             = "gs://${module.lake.buckets["lake"]}"
    ACTIVITY_ARCHIVE__FOLDER          = "gs://${module.lake.buckets["lake"]}/archive"
    ACTIVITY_SPARK__CHECKPOINTS       = "gs://${module.lake.buckets["checkpoints"]}"
    ACTIVITY_CLOUD__STAGING           = "gs://${module.lake.buckets["lake"]}/cloud"
    ACTIVITY_CLOUD__PROJECT           = var.project
    ACTIVITY_CLOUD__REGION            = var.region
    ACTIVITY_CLOUD__ROLE              = module.engine.account
    ACTIVITY_CLOUD__SUBNETS           = jsonencode([module.network.subnet])
    ACTIVITY_CLOUD__BIGQUERY          = module.warehouse.address
  }

  secrets = module.store.secrets

  # every role of sql/roles.sql; each service signs in as its own, with the rights of sql/grants.sql
  store_roles = ["generator", "scorer", "console", "airflow", "registry", "reader", "sender"]

  # what the admin job has: the owner of the tables, and the passwords of all
  admin_secrets = merge(
    { for role in local.store_roles : "STORE_${upper(role)}_PASSWORD" => "store-${role}-password" },
    {
      STORE_OWNER_PASSWORD           = "store-password"
      ACTIVITY_STORE__PASSWORD       = "store-password"
      ACTIVITY_REGISTRY__PASSWORD    = "registry-password"
      ACTIVITY_STORE__ADMIN_PASSWORD = "admin-password"
    },
  )
}

module "console" {
  count           = local.running ? 1 : 0
  source          = "./modules/service"
  deployment      = var.name
  name            = "console"
  project         = var.project
  region          = var.region
  account         = local.accounts["console"]
  image           = local.image
  network         = module.network.network
  subnet          = module.network.subnet
  behind_balancer = true
  environment     = merge(local.settings, { ACTIVITY_STORE__USER = "activity_console" })
  buckets         = { (module.lake.buckets["lake"]) = "roles/storage.objectViewer" }

  secrets = {
    ACTIVITY_STORE__PASSWORD    = local.secrets["store-console-password"]
    ACTIVITY_CONSOLE__SECRET    = local.secrets["console-secret"]
    ACTIVITY_AIRFLOW__PASSWORD  = local.secrets["airflow-password"]
    ACTIVITY_REGISTRY__PASSWORD = local.secrets["registry-password"]
  }

  containers = [{
    name    = "console"
    command = ["python", "-m", "activitymodule", "console", "--host", "0.0.0.0", "--port", "18080"]
    port    = 18080
    # Cloud Run's own address, and the load balancer, which adds the client's address and its own
    environment = {
      ACTIVITY_CONSOLE__TRUSTED_PROXIES = jsonencode([
        "169.254.0.0/16", "130.211.0.0/22", "35.191.0.0/16", module.entrance[0].console_address,
      ])
    }
  }]
}

module "registry" {
  count      = local.running ? 1 : 0
  source     = "./modules/service"
  deployment = var.name
  name       = "mlflow"
  project    = var.project
  region     = var.region
  account    = local.accounts["registry"]
  image      = local.image
  network    = module.network.network
  subnet     = module.network.subnet
  secrets = {
    PGPASSWORD                 = local.secrets["store-registry-password"]
    MLFLOW_AUTH_ADMIN_PASSWORD = local.secrets["registry-password"]
  }
  # models are kept and fetched by the server: nobody else is let near the bucket
  buckets = { (module.lake.buckets["artifacts"]) = "roles/storage.objectUser" }

  environment = {
    MLFLOW_DISABLE_TELEMETRY           = "true"
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION = "false"
    GIT_PYTHON_REFRESH                 = "quiet"
  }

  containers = [{
    name = "mlflow"
    command = [
      "python", "-m", "activitymodule.registry.server",
      "--host", "0.0.0.0", "--port", "5000", "--workers", "1",
      "--backend-store-uri", "postgresql+psycopg2://activity_registry@${module.store.host}:5432/mlflow?sslmode=require",
      "--artifacts-destination", "gs://${module.lake.buckets["artifacts"]}",
      "--allowed-hosts", local.addresses["mlflow"],
    ]
    port = 5000
  }]
}

module "orchestration" {
  count      = local.running ? 1 : 0
  source     = "./modules/service"
  deployment = var.name
  name       = "airflow"
  project    = var.project
  region     = var.region
  account    = local.accounts["orchestration"]
  image      = local.image
  network    = module.network.network
  subnet     = module.network.subnet
  # retraining keeps its snapshots in the lake; retention deletes there, and checkpoints that were set aside
  buckets = { for name in ["lake", "checkpoints"] : module.lake.buckets[name] => "roles/storage.objectUser" }

  secrets = {
    ACTIVITY_STORE__PASSWORD            = local.secrets["store-airflow-password"]
    ACTIVITY_AIRFLOW__PASSWORD          = local.secrets["airflow-password"]
    ACTIVITY_REGISTRY__PASSWORD         = local.secrets["registry-password"]
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN = local.secrets["airflow-database"]
    AIRFLOW__CORE__FERNET_KEY           = local.secrets["airflow-fernet"]
    AIRFLOW__API_AUTH__JWT_SECRET       = local.secrets["airflow-jwt"]
    AIRFLOW__API__SECRET_KEY            = local.secrets["airflow-session"]
  }

  # as activitymodule/embedded/airflow.py has it, but for the addresses
  environment = merge(local.settings, {
    ACTIVITY_STORE__USER                                = "activity_airflow"
    AIRFLOW_HOME                                        = "/tmp/airflow"
    AIRFLOW__CORE__DAGS_FOLDER                          = "/opt/activity/airflow/dags"
    AIRFLOW__CORE__EXECUTOR                             = "LocalExecutor"
    AIRFLOW__CORE__PARALLELISM                          = "2"
    AIRFLOW__CORE__LOAD_EXAMPLES                        = "False"
    AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION          = "False"
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS            = "admin:admin"
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE   = "/tmp/airflow/passwords.json"
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL             = "http://127.0.0.1:8080/execution/"
    AIRFLOW__CORE__HOSTNAME_CALLABLE                    = "socket.gethostname"
    AIRFLOW__API__BASE_URL                              = "https://${local.addresses["airflow"]}"
    AIRFLOW__API__HOST                                  = "0.0.0.0"
    AIRFLOW__API__PORT                                  = "8080"
    AIRFLOW__API__WORKERS                               = "1"
    AIRFLOW__API__EXPOSE_CONFIG                         = "False"
    AIRFLOW__API_AUTH__JWT_ISSUER                       = "activity"
    AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT              = "False"
    AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL   = "30"
    AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT = "60"
    AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES           = "1"
    AIRFLOW__LOGGING__COLORED_CONSOLE_LOG               = "False"
  })

  containers = [
    {
      name = "api-server"
      port = 8080
      # the tables, the one who signs in, and the password from the secret
      command = ["sh", "-c", <<-EOT
        umask 077 && mkdir -p /tmp/airflow &&
        printf '{"admin": "%s"}' "$ACTIVITY_AIRFLOW__PASSWORD" > /tmp/airflow/passwords.json &&
        python -m airflow db migrate &&
        exec python -m airflow api-server
      EOT
      ]
    },
    {
      name    = "scheduler"
      command = ["python", "-m", "airflow", "scheduler"]
      after   = ["api-server"]
      cpu     = "2"
      memory  = "6Gi"
    },
    {
      name    = "dag-processor"
      command = ["python", "-m", "airflow", "dag-processor"]
      after   = ["api-server"]
    },
  ]
}

# Nothing that runs: for single commands, such as `activity topics create` and `activity db upgrade`, as the owner.
resource "google_cloud_run_v2_job" "admin" {
  count               = var.image_tag == null ? 0 : 1
  name                = "${var.name}-admin"
  location            = var.region
  deletion_protection = false

  template {
    template {
      service_account = local.accounts["admin"]
      max_retries     = 0
      timeout         = "3600s"

      vpc_access {
        egress = "ALL_TRAFFIC"

        network_interfaces {
          network    = module.network.network
          subnetwork = module.network.subnet
        }
      }

      containers {
        image   = local.image
        command = ["sh", "-c"]
        args    = ["python -m activitymodule doctor"]

        resources {
          limits = { cpu = "1", memory = "4Gi" }
        }

        dynamic "env" {
          for_each = local.settings

          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = local.admin_secrets

          content {
            name = env.key

            value_source {
              secret_key_ref {
                secret  = local.secrets[env.value]
                version = "latest"
              }
            }
          }
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.admin]
}

resource "google_secret_manager_secret_iam_member" "admin" {
  for_each  = toset(values(local.admin_secrets))
  project   = var.project
  secret_id = local.secrets[each.key]
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${local.accounts["admin"]}"
}

resource "google_storage_bucket_iam_member" "admin" {
  bucket = module.lake.buckets["lake"]
  role   = "roles/storage.objectUser"
  member = "serviceAccount:${local.accounts["admin"]}"
}
