terraform {
  required_version = ">= 1.5.7, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
  }

  # The state is kept on this machine unless a backend is named; ../README.md has an example to copy here.
}

# Who asks is said by the environment (AWS_PROFILE, SSO, a role), never by this file.
provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}
