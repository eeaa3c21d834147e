"""Mappings: what the columns of other people's tables are. The language, and the mappings that are shipped."""

from activitymodule.telemetry.mapping.loading import load, parse, shipped
from activitymodule.telemetry.mapping.model import Mapping, Table, json_schema

__all__ = ["Mapping", "Table", "json_schema", "load", "parse", "shipped"]
