# The public load balancer: HTTPS, for the networks that were named, to the console and nothing else.

resource "google_compute_region_network_endpoint_group" "console" {
  name                  = "${var.name}-console"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = var.service
  }
}

resource "google_compute_security_policy" "this" {
  name        = "${var.name}-console"
  description = "Who may reach the console."

  rule {
    action      = "allow"
    priority    = 1000
    description = "Those who were named"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = var.allowed_cidrs
      }
    }
  }

  rule {
    action      = "deny(403)"
    priority    = 2147483647
    description = "Nobody else"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

resource "google_compute_backend_service" "console" {
  name                  = "${var.name}-console"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = google_compute_security_policy.this.id

  backend {
    group = google_compute_region_network_endpoint_group.console.id
  }

  log_config {
    enable      = true
    sample_rate = 1
  }
}

resource "google_compute_url_map" "this" {
  name            = "${var.name}-console"
  default_service = google_compute_backend_service.console.id
}

resource "google_compute_managed_ssl_certificate" "this" {
  name = "${var.name}-console"

  managed {
    domains = ["console.${var.domain}"]
  }
}

resource "google_compute_ssl_policy" "this" {
  name            = var.name
  profile         = "RESTRICTED"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "this" {
  name             = "${var.name}-console"
  url_map          = google_compute_url_map.this.id
  ssl_certificates = [google_compute_managed_ssl_certificate.this.id]
  ssl_policy       = google_compute_ssl_policy.this.id
}

resource "google_compute_global_address" "this" {
  name = "${var.name}-console"
}

resource "google_compute_global_forwarding_rule" "this" {
  name                  = "${var.name}-console"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  target                = google_compute_target_https_proxy.this.id
  ip_address            = google_compute_global_address.this.id
  port_range            = "443"
}
