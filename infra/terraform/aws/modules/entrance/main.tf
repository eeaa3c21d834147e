# Two load balancers, both HTTPS only: one in public for the console, one inside the VPC for MLflow and Airflow.
# MLflow asks nobody who they are, so it must never be reached from outside.

locals {
  balancers = {
    entrance = { internal = false, subnets = var.public_subnets }
    inside   = { internal = true, subnets = var.private_subnets }
  }
  services = {
    # whether a stream runs is no matter of the console's
    console = { balancer = "entrance", port = 18080, check = "/health?need=store", priority = 10 }
    mlflow  = { balancer = "inside", port = 5000, check = "/health", priority = 10 }
    airflow = { balancer = "inside", port = 8080, check = "/api/v2/monitor/health", priority = 20 }
  }
}

resource "aws_lb" "this" {
  for_each                   = local.balancers
  name                       = "${var.name}-${each.key}"
  internal                   = each.value.internal
  load_balancer_type         = "application"
  subnets                    = each.value.subnets
  security_groups            = [var.security_groups[each.key]]
  drop_invalid_header_fields = true
  enable_deletion_protection = false

  # the console keeps a connection open for live pages
  idle_timeout = 300
}

resource "aws_lb_listener" "https" {
  for_each          = local.balancers
  load_balancer_arn = aws_lb.this[each.key].arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "There is nothing of this name."
      status_code  = "404"
    }
  }
}

resource "aws_lb_target_group" "this" {
  for_each             = local.services
  name                 = "${var.name}-${each.key}"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = each.value.port
  deregistration_delay = 30

  health_check {
    path                = each.value.check
    matcher             = "200"
    healthy_threshold   = 2
    unhealthy_threshold = 5
    interval            = 30
  }

  # a browser's live page stays with the process that made it
  stickiness {
    enabled = each.key == "console"
    type    = "lb_cookie"
  }
}

resource "aws_lb_listener_rule" "this" {
  for_each     = local.services
  listener_arn = aws_lb_listener.https[each.value.balancer].arn
  priority     = each.value.priority

  condition {
    host_header {
      values = ["${each.key}.${var.domain}"]
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }
}

# Inside the VPC the names lead to the inner load balancer; the world's DNS knows only what you tell it.
resource "aws_route53_zone" "inside" {
  for_each = toset(["mlflow", "airflow"])
  name     = "${each.key}.${var.domain}"
  comment  = "Inside the VPC only."

  vpc {
    vpc_id = var.vpc_id
  }
}

resource "aws_route53_record" "inside" {
  for_each = aws_route53_zone.inside
  zone_id  = each.value.zone_id
  name     = each.value.name
  type     = "A"

  alias {
    name                   = aws_lb.this["inside"].dns_name
    zone_id                = aws_lb.this["inside"].zone_id
    evaluate_target_health = false
  }
}
