# A VPC whose public subnets hold the load balancer and NAT, and nothing else.

data "aws_availability_zones" "available" {
  state = "available"
}

locals {
  zones = slice(data.aws_availability_zones.available.names, 0, var.zones)
  nats  = var.nat_per_zone ? var.zones : 1

  # AWS's policy of EMR's service role asks for it where clusters on EC2 are made
  for_emr = { for-use-with-amazon-emr-managed-policies = "true" }
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(local.for_emr, { Name = var.name })
}

# The group that comes with a VPC lets everything through: take its rules away.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-unused" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = var.name }
}

resource "aws_subnet" "public" {
  count                   = var.zones
  vpc_id                  = aws_vpc.this.id
  cidr_block              = cidrsubnet(var.cidr, 4, count.index)
  availability_zone       = local.zones[count.index]
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.name}-public-${local.zones[count.index]}" }
}

resource "aws_subnet" "private" {
  count             = var.zones
  vpc_id            = aws_vpc.this.id
  cidr_block        = cidrsubnet(var.cidr, 4, count.index + 8)
  availability_zone = local.zones[count.index]
  tags              = merge(local.for_emr, { Name = "${var.name}-private-${local.zones[count.index]}" })
}

resource "aws_eip" "nat" {
  count  = local.nats
  domain = "vpc"
  tags   = { Name = "${var.name}-nat-${count.index}" }
}

resource "aws_nat_gateway" "this" {
  count         = local.nats
  allocation_id = aws_eip.nat[count.index].id
  subnet_id     = aws_subnet.public[count.index].id
  tags          = { Name = "${var.name}-${count.index}" }

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-public" }

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}

resource "aws_route_table_association" "public" {
  count          = var.zones
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  count  = var.zones
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-private-${count.index}" }

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.this[min(count.index, local.nats - 1)].id
  }
}

resource "aws_route_table_association" "private" {
  count          = var.zones
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[count.index].id
}

# The lake is reached without NAT, which would be paid for by the gigabyte.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = aws_route_table.private[*].id
  tags              = { Name = "${var.name}-s3" }
}

resource "aws_vpc_endpoint" "interfaces" {
  for_each = toset(var.endpoints ? [
    "ecr.api", "ecr.dkr", "emr-serverless", "elasticmapreduce", "glue", "kms", "logs", "redshift-data", "secretsmanager", "sts",
  ] : [])
  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = aws_subnet.private[*].id
  security_group_ids  = [aws_security_group.this["endpoints"].id]
  private_dns_enabled = true
  tags                = { Name = "${var.name}-${each.key}" }
}

# ---- who may speak to whom

locals {
  groups = {
    entrance = "The public load balancer"
    inside   = "The load balancer of MLflow and Airflow"
    services = "Console, MLflow, Airflow"
    engine   = "Spark"
    broker   = "Kafka"
    store    = "PostgreSQL"
    # Redshift is spoken to by the Data API, so nobody connects to it
    warehouse = "Redshift"
    endpoints = "AWS's interfaces inside the VPC"
  }

  # who -> whom, and the port
  ways = {
    entrance-console  = { from = "entrance", to = "services", port = 18080 }
    inside-mlflow     = { from = "inside", to = "services", port = 5000 }
    inside-airflow    = { from = "inside", to = "services", port = 8080 }
    services-inside   = { from = "services", to = "inside", port = 443 }
    engine-inside     = { from = "engine", to = "inside", port = 443 }
    services-store    = { from = "services", to = "store", port = 5432 }
    engine-store      = { from = "engine", to = "store", port = 5432 }
    services-broker   = { from = "services", to = "broker", port = 9098 }
    engine-broker     = { from = "engine", to = "broker", port = 9098 }
    services-to-https = { from = "services", to = null, port = 443 }
    engine-to-https   = { from = "engine", to = null, port = 443 }

    services-endpoints  = { from = "services", to = "endpoints", port = 443 }
    engine-endpoints    = { from = "engine", to = "endpoints", port = 443 }
    warehouse-to-https  = { from = "warehouse", to = null, port = 443 }
    warehouse-endpoints = { from = "warehouse", to = "endpoints", port = 443 }
  }
  within = { for way, ends in local.ways : way => ends if ends.to != null }
}

resource "aws_security_group" "this" {
  for_each    = local.groups
  name        = "${var.name}-${each.key}"
  description = each.value
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "world" {
  for_each          = toset(var.allowed_cidrs)
  security_group_id = aws_security_group.this["entrance"].id
  description       = "The console, for those who were named"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "within" {
  for_each                     = local.within
  security_group_id            = aws_security_group.this[each.value.to].id
  referenced_security_group_id = aws_security_group.this[each.value.from].id
  description                  = each.key
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "within" {
  for_each                     = local.within
  security_group_id            = aws_security_group.this[each.value.from].id
  referenced_security_group_id = aws_security_group.this[each.value.to].id
  description                  = each.key
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

# AWS's own interfaces (S3, ECR, Secrets Manager, logs) are spoken to by HTTPS.
resource "aws_vpc_security_group_egress_rule" "https" {
  for_each          = { for way, ends in local.ways : way => ends if ends.to == null }
  security_group_id = aws_security_group.this[each.value.from].id
  description       = each.key
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

# Spark's driver and executors speak to each other on ports they choose.
resource "aws_vpc_security_group_ingress_rule" "spark" {
  security_group_id            = aws_security_group.this["engine"].id
  referenced_security_group_id = aws_security_group.this["engine"].id
  description                  = "Spark's driver and executors"
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_egress_rule" "spark" {
  security_group_id            = aws_security_group.this["engine"].id
  referenced_security_group_id = aws_security_group.this["engine"].id
  description                  = "Spark's driver and executors"
  ip_protocol                  = "-1"
}

# ---- a record of what was let through and what was not

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/${var.name}/flow"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "flow" {
  name = "${var.name}-flow"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "flow" {
  name = "write-its-log"
  role = aws_iam_role.flow.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
      Resource = "${aws_cloudwatch_log_group.flow.arn}:*"
    }]
  })
}

resource "aws_flow_log" "this" {
  vpc_id          = aws_vpc.this.id
  traffic_type    = "REJECT"
  log_destination = aws_cloudwatch_log_group.flow.arn
  iam_role_arn    = aws_iam_role.flow.arn
}
