"""Roles of AWS that jobs and clusters run as: whether they are there, and may be used."""

from __future__ import annotations

import json
import urllib.parse

from activitymodule.cloud.aws import client, explained
from activitymodule.errors import ConfigError, NotAllowedError, NotFoundError


def check_role(arn: str, setting: str, service: str, made_by: str) -> None:
    """Raise ConfigError where a role does not exist, or the service may not use it.

    arn : or its name; setting : that names it; service : such as emr-serverless.amazonaws.com; made_by : what makes it
    Who may not look at roles (iam:GetRole) is told so by the service itself.
    """
    name = arn.rpartition("/")[2]
    try:
        with explained(f"looking for the role {name}"):
            role = client("iam").get_role(RoleName=name)["Role"]
    except NotAllowedError:
        return
    except NotFoundError as error:
        raise ConfigError(f"the role {arn} of {setting} does not exist; {made_by}") from error
    trust = role["AssumeRolePolicyDocument"]
    text = trust if isinstance(trust, str) else json.dumps(trust)
    if service not in urllib.parse.unquote(text):
        raise ConfigError(
            f"the role {arn} of {setting} does not trust {service}; its trust policy must allow sts:AssumeRole to it"
        )


def check_profile(name: str, setting: str, made_by: str) -> None:
    """Raise ConfigError where an instance profile does not exist or has no role, or EC2 may not use that."""
    try:
        with explained(f"looking for the instance profile {name}"):
            profile = client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    except NotAllowedError:
        return
    except NotFoundError as error:
        raise ConfigError(f"the instance profile {name} of {setting} does not exist; {made_by}") from error
    if not profile["Roles"]:
        raise ConfigError(f"the instance profile {name} of {setting} has no role; {made_by}")
    check_role(profile["Roles"][0]["RoleName"], setting, "ec2.amazonaws.com", made_by)
