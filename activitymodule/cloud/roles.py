"""Roles of AWS that jobs and clusters run as: whether they are there, and may be used."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable
from typing import TypeVar

from activitymodule.cloud.aws import client, explained
from activitymodule.errors import ConfigError, NotAllowedError, NotFoundError

_Found = TypeVar("_Found")


def _find(what: str, setting: str, made_by: str, look: Callable[[], _Found]) -> _Found | None:
    """What IAM has; None for who may not look: the service itself tells then."""
    try:
        with explained(f"looking for the {what}"):
            return look()
    except NotAllowedError:
        return None
    except NotFoundError as error:
        raise ConfigError(f"the {what} of {setting} does not exist; {made_by}") from error


def check_role(arn: str, setting: str, service: str, made_by: str) -> None:
    """Raise ConfigError where a role does not exist, or the service may not use it.

    arn : or its name; setting : that names it; service : such as emr-serverless.amazonaws.com; made_by : what makes it
    """
    name = arn.rpartition("/")[2]
    role = _find(f"role {arn}", setting, made_by, lambda: client("iam").get_role(RoleName=name)["Role"])
    if role is None:
        return
    trust = role["AssumeRolePolicyDocument"]
    text = trust if isinstance(trust, str) else json.dumps(trust)
    if service not in urllib.parse.unquote(text):
        raise ConfigError(
            f"the role {arn} of {setting} does not trust {service}; its trust policy must allow sts:AssumeRole to it"
        )


def check_profile(name: str, setting: str, made_by: str) -> None:
    """Raise ConfigError where an instance profile does not exist or has no role, or EC2 may not use that."""
    profile = _find(
        f"instance profile {name}",
        setting,
        made_by,
        lambda: client("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"],
    )
    if profile is None:
        return
    if not profile["Roles"]:
        raise ConfigError(f"the instance profile {name} of {setting} has no role; {made_by}")
    check_role(profile["Roles"][0]["RoleName"], setting, "ec2.amazonaws.com", made_by)
