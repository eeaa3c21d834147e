# One service on Fargate: its containers, what they may do, and where their logs go.

data "aws_region" "current" {}

locals {
  # what every container has, whatever it is
  common = {
    image                  = var.image
    readonlyRootFilesystem = false
    linuxParameters        = { initProcessEnabled = true }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = var.name
      }
    }
    secrets = [for variable, place in var.secrets : { name = variable, valueFrom = place }]
  }

  containers = [
    for container in var.containers : merge(local.common, {
      name      = container.name
      command   = container.command
      essential = container.once ? false : true
      environment = [
        for variable, value in merge(var.environment, container.environment) : { name = variable, value = value }
      ]
      portMappings = [for port in container.ports : { containerPort = port, protocol = "tcp" }]
      dependsOn    = [for before in container.after : { containerName = before, condition = "SUCCESS" }]
    })
  ]
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.deployment}/${var.name}"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

# ---- who starts it: may fetch the image, read the secrets, write the log

resource "aws_iam_role" "start" {
  name               = "${var.deployment}-${var.name}-start"
  assume_role_policy = local.tasks
}

resource "aws_iam_role_policy" "start" {
  name = "start-it"
  role = aws_iam_role.start.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # a token of a registry cannot be asked for by its name
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
        Resource = [var.image_registry_arn]
      },
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
      },
      {
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.secret_arns
      },
      {
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [var.kms_key_arn]
      },
    ]
  })
}

# ---- what it is: may do what its statements say, and nothing else

locals {
  tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role" "task" {
  name               = "${var.deployment}-${var.name}"
  assume_role_policy = local.tasks
}

resource "aws_iam_role_policy" "task" {
  count  = length(var.statements) > 0 ? 1 : 0
  name   = "what-it-needs"
  role   = aws_iam_role.task.id
  policy = jsonencode({ Version = "2012-10-17", Statement = var.statements })
}

resource "aws_ecs_task_definition" "this" {
  family                   = "${var.deployment}-${var.name}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.start.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode(local.containers)

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  ephemeral_storage {
    size_in_gib = 30
  }
}

resource "aws_ecs_service" "this" {
  count                              = var.running ? 1 : 0
  name                               = var.name
  cluster                            = var.cluster_arn
  task_definition                    = aws_ecs_task_definition.this.arn
  launch_type                        = "FARGATE"
  desired_count                      = var.copies
  enable_execute_command             = false
  deployment_minimum_healthy_percent = var.one_at_a_time ? 0 : 100
  deployment_maximum_percent         = var.one_at_a_time ? 100 : 200
  health_check_grace_period_seconds  = var.target == null ? null : 300

  network_configuration {
    subnets          = var.subnets
    security_groups  = [var.security_group]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "load_balancer" {
    for_each = var.target == null ? [] : [var.target]

    content {
      target_group_arn = load_balancer.value.group_arn
      container_name   = load_balancer.value.container
      container_port   = load_balancer.value.port
    }
  }
}
