# What runs all the time: the console, MLflow and Airflow, on Fargate. Airflow is on ECS and not MWAA: MWAA offers
# only the Airflow versions and constraints it has picked, and this project's DAGs import the same locked packages
# as everything else; it also costs the same at night as by day, and its smallest environment is larger than the
# three containers here.

locals {
  # the same keys as config.yaml; config.aws.yaml has what is the same in every deployment
  settings = {
    ACTIVITY_HOME                     = "/opt/activity"
    ACTIVITY_CONFIG                   = "config.aws.yaml"
    ACTIVITY_KAFKA__BOOTSTRAP_SERVERS = module.broker.bootstrap_servers
    ACTIVITY_KAFKA__TOPIC             = var.topic
    ACTIVITY_KAFKA__TRUTH_TOPIC       = var.truth_topic
    ACTIVITY_STORE__HOST              = module.store.host
    ACTIVITY_REGISTRY__URI            = "https://mlflow.${var.domain}"
    ACTIVITY_AIRFLOW__URI             = "https://airflow.${var.domain}"
    ACTIVITY_LAKE__FOLDER             = "s3://${module.lake.buckets["lake"]}"
    ACTIVITY_ARCHIVE__FOLDER          = "s3://${module.lake.buckets["lake"]}/archive"
    ACTIVITY_SPARK__CHECKPOINTS       = "s3://${module.lake.buckets["checkpoints"]}"
    ACTIVITY_CLOUD__STAGING           = "s3://${module.lake.buckets["lake"]}/cloud"
    ACTIVITY_CLOUD__APPLICATION       = var.name
    ACTIVITY_CLOUD__ROLE              = module.engine.job_role_arn
    ACTIVITY_CLOUD__DATABASE          = replace(var.name, "-", "_")
    ACTIVITY_CLOUD__SERVICE_ROLE      = module.engine.service_role
    ACTIVITY_CLOUD__INSTANCE_PROFILE  = module.engine.instance_profile
    ACTIVITY_CLOUD__SUBNETS           = jsonencode(module.network.private_subnets)
    ACTIVITY_CLOUD__SECURITY_GROUPS   = jsonencode([module.network.security_groups["engine"]])
    # kafka-python and pyarrow ask this variable for the region, and no other
    AWS_DEFAULT_REGION = var.region
  }

  # where no workgroup is made here, cloud.redshift may name another
  warehouse_settings = var.redshift_capacity == null ? {} : { ACTIVITY_CLOUD__REDSHIFT = module.warehouse.address }

  secret = module.store.services_secret_arn

  # each service signs in as its own role of PostgreSQL, with the rights of sql/grants.sql; the owner of the tables, and
  # the passwords of all, are the admin task's
  roles = {
    for role in ["console", "airflow"] : role => {
      environment = merge(local.settings, { ACTIVITY_STORE__USER = "activity_${role}" })
      secrets     = { ACTIVITY_STORE__PASSWORD = "${local.secret}:store_${role}_password::" }
    }
  }
  # of MLflow's user, for those that train, score or promote
  registry_password = "${local.secret}:registry_password::"

  role_passwords = {
    for role in ["generator", "scorer", "console", "airflow", "registry", "reader", "sender"] :
    "STORE_${upper(role)}_PASSWORD" => "${local.secret}:store_${role}_password::"
  }

  lake_statements = [
    {
      Effect   = "Allow"
      Action   = ["s3:ListBucket", "s3:GetBucketLocation"]
      Resource = [module.lake.bucket_arns["lake"]]
    },
    {
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
      Resource = ["${module.lake.bucket_arns["lake"]}/*"]
    },
    local.key_statement,
  ]

  key_statement = {
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = [aws_kms_key.this.arn]
  }

  # until an image is named there is nothing to run; a task definition needs some name of one
  running = var.image_tag != null && var.run_services
  image   = "${module.images.urls["services"]}:${coalesce(var.image_tag, "none")}"
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

module "console" {
  source             = "./modules/service"
  deployment         = var.name
  name               = "console"
  cluster_arn        = aws_ecs_cluster.this.arn
  image              = local.image
  image_registry_arn = module.images.arns["services"]
  running            = local.running
  environment        = local.roles["console"].environment
  secrets = merge(local.roles["console"].secrets, {
    ACTIVITY_CONSOLE__SECRET    = "${local.secret}:console_secret::"
    ACTIVITY_AIRFLOW__PASSWORD  = "${local.secret}:airflow_password::"
    ACTIVITY_REGISTRY__PASSWORD = local.registry_password
  })
  secret_arns    = [local.secret]
  cpu            = 1024
  memory         = 2048
  subnets        = module.network.private_subnets
  security_group = module.network.security_groups["services"]
  log_days       = var.log_days
  kms_key_arn    = aws_kms_key.this.arn

  containers = [{
    name    = "console"
    command = ["python", "-m", "activitymodule", "console", "--host", "0.0.0.0", "--port", "18080"]
    ports   = [18080]
    # the load balancer's word on the client's address counts; of a longer list, the last address that is not its own
    environment = { ACTIVITY_CONSOLE__TRUSTED_PROXIES = jsonencode(module.network.public_blocks) }
  }]

  target = { group_arn = module.entrance.target_groups["console"], container = "console", port = 18080 }

  # it sends readings that came by REST, and reads what came before and after a window from the archive
  statements = concat(module.broker.statements.send_readings, [
    {
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [module.lake.bucket_arns["lake"]]
      Condition = { StringLike = { "s3:prefix" = ["archive/*"] } }
    },
    {
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["${module.lake.bucket_arns["lake"]}/archive/*"]
    },
    local.key_statement,
  ])
}

module "registry" {
  source             = "./modules/service"
  deployment         = var.name
  name               = "mlflow"
  cluster_arn        = aws_ecs_cluster.this.arn
  image              = local.image
  image_registry_arn = module.images.arns["services"]
  running            = local.running
  secrets = {
    PGPASSWORD                 = "${local.secret}:store_registry_password::"
    MLFLOW_AUTH_ADMIN_PASSWORD = local.registry_password
  }
  secret_arns    = [local.secret]
  cpu            = 512
  memory         = 2048
  subnets        = module.network.private_subnets
  security_group = module.network.security_groups["services"]
  log_days       = var.log_days
  kms_key_arn    = aws_kms_key.this.arn

  environment = {
    AWS_DEFAULT_REGION                 = var.region
    MLFLOW_DISABLE_TELEMETRY           = "true"
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION = "false"
    GIT_PYTHON_REFRESH                 = "quiet"
  }

  containers = [{
    name = "mlflow"
    command = [
      "python", "-m", "activitymodule.registry.server",
      "--host", "0.0.0.0", "--port", "5000", "--workers", "1",
      "--backend-store-uri", "postgresql+psycopg2://activity_registry@${module.store.host}:${module.store.port}/mlflow?sslmode=require",
      "--artifacts-destination", "s3://${module.lake.buckets["artifacts"]}",
      "--allowed-hosts", "mlflow.${var.domain}",
    ]
    ports = [5000]
  }]

  target = { group_arn = module.entrance.target_groups["mlflow"], container = "mlflow", port = 5000 }

  # models are kept and fetched by the server: nobody else is let near the bucket
  statements = [
    {
      Effect   = "Allow"
      Action   = ["s3:ListBucket", "s3:GetBucketLocation"]
      Resource = [module.lake.bucket_arns["artifacts"]]
    },
    {
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
      Resource = ["${module.lake.bucket_arns["artifacts"]}/*"]
    },
    local.key_statement,
  ]
}

module "orchestration" {
  source             = "./modules/service"
  deployment         = var.name
  name               = "airflow"
  cluster_arn        = aws_ecs_cluster.this.arn
  image              = local.image
  image_registry_arn = module.images.arns["services"]
  running            = local.running
  one_at_a_time      = true
  secret_arns        = [local.secret]
  cpu                = 2048
  memory             = 8192
  subnets            = module.network.private_subnets
  security_group     = module.network.security_groups["services"]
  log_days           = var.log_days
  kms_key_arn        = aws_kms_key.this.arn

  secrets = merge(local.roles["airflow"].secrets, {
    ACTIVITY_AIRFLOW__PASSWORD          = "${local.secret}:airflow_password::"
    ACTIVITY_REGISTRY__PASSWORD         = local.registry_password
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN = "${local.secret}:airflow_database::"
    AIRFLOW__CORE__FERNET_KEY           = "${local.secret}:airflow_fernet::"
    AIRFLOW__API_AUTH__JWT_SECRET       = "${local.secret}:airflow_jwt::"
    AIRFLOW__API__SECRET_KEY            = "${local.secret}:airflow_session::"
  })

  # as activitymodule/embedded/airflow.py has it, but for the addresses
  environment = merge(local.roles["airflow"].environment, local.warehouse_settings, {
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
    AIRFLOW__API__BASE_URL                              = "https://airflow.${var.domain}"
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
      name    = "tables"
      command = ["python", "-m", "airflow", "db", "migrate"]
      once    = true
    },
    {
      name  = "api-server"
      ports = [8080]
      after = ["tables"]
      # the one who signs in, and the password from the secret
      command = ["sh", "-c", <<-EOT
        umask 077 && mkdir -p /tmp/airflow &&
        printf '{"admin": "%s"}' "$ACTIVITY_AIRFLOW__PASSWORD" > /tmp/airflow/passwords.json &&
        exec python -m airflow api-server
      EOT
      ]
    },
    {
      name    = "scheduler"
      command = ["python", "-m", "airflow", "scheduler"]
      after   = ["tables"]
    },
    {
      name    = "dag-processor"
      command = ["python", "-m", "airflow", "dag-processor"]
      after   = ["tables"]
    },
  ]

  target = { group_arn = module.entrance.target_groups["airflow"], container = "api-server", port = 8080 }

  # retraining keeps its snapshots in the lake; retention deletes there, and checkpoints that were set aside; DAGs submit
  # jobs and load the warehouse
  statements = concat(local.lake_statements, module.engine.submitting_statements, module.warehouse.loading_statements, [
    {
      Effect   = "Allow"
      Action   = ["s3:ListBucket", "s3:GetBucketLocation"]
      Resource = [module.lake.bucket_arns["checkpoints"]]
    },
    {
      Effect   = "Allow"
      Action   = ["s3:DeleteObject"]
      Resource = ["${module.lake.bucket_arns["checkpoints"]}/*"]
    },
  ])
}

# Nothing that runs: for single commands, such as `activity topics create` and `activity db upgrade`, as the owner.
module "admin" {
  source             = "./modules/service"
  deployment         = var.name
  name               = "admin"
  cluster_arn        = aws_ecs_cluster.this.arn
  image              = local.image
  image_registry_arn = module.images.arns["services"]
  running            = false
  environment        = local.settings
  secret_arns        = [local.secret, module.store.admin_secret_arn]
  cpu                = 1024
  memory             = 4096
  subnets            = module.network.private_subnets
  security_group     = module.network.security_groups["services"]
  log_days           = var.log_days
  kms_key_arn        = aws_kms_key.this.arn

  secrets = merge(local.role_passwords, {
    ACTIVITY_STORE__PASSWORD       = "${local.secret}:store_password::"
    ACTIVITY_REGISTRY__PASSWORD    = local.registry_password
    STORE_OWNER_PASSWORD           = "${local.secret}:store_password::"
    ACTIVITY_STORE__ADMIN_PASSWORD = "${module.store.admin_secret_arn}:password::"
  })

  containers = [{
    name    = "admin"
    command = ["python", "-m", "activitymodule", "doctor"]
  }]

  statements = concat(module.broker.statements.make_topics, local.lake_statements)
}
