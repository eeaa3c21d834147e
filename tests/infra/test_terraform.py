"""infra/terraform: formatted, and whole: what is used is declared, and what is declared is used and explained.

Terraform itself (or OpenTofu) checks the format; where none is installed, that part is skipped. The rest is read from
the text, by a parser of HCL where its structure counts.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2] / "infra" / "terraform"
MODULES = sorted({file.parent for file in ROOT.rglob("*.tf") if ".terraform" not in file.parts})
ROOTS = [ROOT / "aws", ROOT / "gcp"]
ARGUMENTS = json.loads(Path(__file__).with_name("terraform_arguments.json").read_text())
META = {"count", "for_each", "depends_on", "provider"}


def named(folder: Path) -> str:
    return str(folder.relative_to(ROOT))


def blocks(text: str, kind: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(labels, body) of the blocks of a kind: the format puts a block's end at the start of a line."""
    for found in re.finditer(rf'^{kind}((?: "[^"]+")*) \{{(?:\}}$|(.*?)^\}})', text, re.S | re.M):
        yield tuple(re.findall(r'"([^"]+)"', found[1])), found[2] or ""


def without_comments(folder: Path) -> str:
    text = "\n".join(file.read_text() for file in sorted(folder.glob("*.tf")))
    return re.sub(r"^\s*#.*$", "", text, flags=re.M)


def assigned(body: str) -> set[str]:
    """Arguments at the top of a block."""
    return set(re.findall(r"^  (\w+)\s+=", body, re.M))


def test_it_is_formatted() -> None:
    program = shutil.which("terraform") or shutil.which("tofu")
    if program is None:
        pytest.skip("neither terraform nor tofu is installed")
    done = subprocess.run(
        [program, "fmt", "-check", "-recursive", "-diff", str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def parse() -> Callable[[str], Any]:
    """A parser of HCL: text -> blocks."""
    query = pytest.importorskip("hcl2.query", reason="python-hcl2 is not installed; run ./init.sh")
    return query.DocumentView.parse


def wrong(body: Any, taken: dict[str, Any], where: str) -> Iterator[str]:
    """What a block has that its type does not take, and what it lacks."""
    given = set()
    for one in body.attributes():
        given.add(one.name)
        if one.name not in taken["arguments"].keys() | META:
            yield f"{where} has no argument {one.name}"
    for block in body.blocks():
        dynamic = block.block_type == "dynamic"
        name = block.name_labels[0] if dynamic else block.block_type
        given.add(name)
        if name in taken["blocks"]:
            inner = block.blocks("content")[0] if dynamic else block
            yield from wrong(inner, taken["blocks"][name], f"{where}.{name}")
        # some arguments may be written as blocks, such as the routes of a table
        elif name not in taken["arguments"].keys() | {"lifecycle"}:
            yield f"{where} has no block {name}"
    required = {name for name, needed in taken["arguments"].items() if needed}
    required |= {name for name, block in taken["blocks"].items() if block["required"]}
    yield from (f"{where} lacks {name}" for name in sorted(required - given))


@pytest.mark.parametrize("folder", MODULES, ids=named)
def test_resources_have_the_arguments_of_their_types(folder: Path, parse: Callable[[str], Any]) -> None:
    """By the schemas of the providers, which tests/support/terraform_arguments.py took from published bindings."""
    found = []
    for file in sorted(folder.glob("*.tf")):
        tree = parse(file.read_text())
        for kind in ("resource", "data"):
            for block in tree.blocks(kind):
                of_type, name = block.name_labels
                found += wrong(block, ARGUMENTS[f"{kind} {of_type}"], f"{file.name}: {of_type}.{name}")
    assert found == []


def test_the_check_of_arguments_can_fail(parse: Callable[[str], Any]) -> None:
    good = 'bucket = "a"\n  rule {\n    object_ownership = "b"\n  }'
    for text, fault in (
        (good, None),
        (good.replace("bucket", "bukket"), "has no argument bukket"),
        (good.replace("rule", "rules"), "has no block rules"),
        ('bucket = "a"', "lacks rule"),
        (good.replace("object_ownership", "ownership"), "rule has no argument ownership"),
        (
            'bucket = "a"\n  dynamic "rule" {\n    for_each = []\n    content {}\n  }',
            "rule lacks object_ownership",
        ),
    ):
        name = "aws_s3_bucket_ownership_controls"
        (block,) = parse(f'resource "{name}" "x" {{\n  {text}\n}}\n').blocks("resource")
        found = list(wrong(block, ARGUMENTS[f"resource {name}"], "x"))
        assert bool(found) == bool(fault)
        assert fault is None or any(fault in one for one in found), found


@pytest.mark.parametrize("folder", MODULES, ids=named)
def test_what_is_referred_to_of_a_resource_is_one_of_its_values(folder: Path) -> None:
    text = without_comments(folder)
    pattern = r"(?<![\w.\"/-])(data\.)?((?:aws|google)_\w+)\.\w+(?:\[[^\]]*\])?\.(\w+)"
    for data, of_type, value in re.findall(pattern, text):
        taken = ARGUMENTS[f"{'data' if data else 'resource'} {of_type}"]
        known = {*taken["exports"], *taken["arguments"], *taken["blocks"], "id"}
        assert value in known, f"{data}{of_type} has no {value}"


@pytest.mark.parametrize("folder", MODULES, ids=named)
def test_every_variable_is_declared_explained_and_used(folder: Path) -> None:
    text = without_comments(folder)
    declared = {labels[0]: body for labels, body in blocks(text, "variable")}
    elsewhere = re.sub(r'^variable "[^"]+" \{.*?^\}', "", text, flags=re.S | re.M)
    assert set(re.findall(r"\bvar\.(\w+)", text)) <= set(declared)
    unused = set(declared) - set(re.findall(r"\bvar\.(\w+)", elsewhere))
    assert not unused
    for name, body in declared.items():
        assert {"description", "type"} <= assigned(body), name


@pytest.mark.parametrize("folder", MODULES, ids=named)
def test_what_is_referred_to_exists(folder: Path) -> None:
    text = without_comments(folder)
    resources = {labels for labels, _ in blocks(text, "resource")}
    data = {labels for labels, _ in blocks(text, "data")}
    modules = {labels[0] for labels, _ in blocks(text, "module")}
    provider = "google" if "gcp" in folder.parts else "aws"
    referred = set(re.findall(rf"(?<![\w.\"/-])({provider}_\w+)\.(\w+)", text))
    assert referred <= resources
    assert set(re.findall(r"\bdata\.(\w+)\.(\w+)", text)) <= data
    assert set(re.findall(r"\bmodule\.(\w+)", text)) <= modules
    local = {name for _, body in blocks(text, "locals") for name in assigned(body)}
    assert set(re.findall(r"\blocal\.(\w+)", text)) <= local
    for labels, body in blocks(text, "output"):
        assert {"description", "value"} <= assigned(body), labels


@pytest.mark.parametrize("folder", ROOTS, ids=named)
def test_modules_are_given_what_they_ask_for_and_give_what_is_asked(folder: Path) -> None:
    text = without_comments(folder)
    for (name,), body in blocks(text, "module"):
        source = re.search(r'source\s+= "(\./[^"]+)"', body)
        assert source, name
        inside = without_comments(folder / source[1])
        declared = {labels[0]: inner for labels, inner in blocks(inside, "variable")}
        given = assigned(body) - {"source", "count", "depends_on"}
        assert given <= set(declared), name
        needed = {variable for variable, inner in declared.items() if "default" not in assigned(inner)}
        assert needed <= given, name
        offered = {labels[0] for labels, _ in blocks(inside, "output")}
        wanted = set(re.findall(rf"\bmodule\.{name}(?:\[[^\]]\])?\.(\w+)", text))
        assert wanted <= offered, name


@pytest.mark.parametrize("folder", ROOTS, ids=named)
def test_versions_are_pinned_and_nobodys_credentials_are_in_it(folder: Path) -> None:
    text = without_comments(folder)
    assert re.search(r'required_version = ">= [\d.]+, < 2\.0\.0"', text)
    assert re.search(r'version = "~> \d+\.\d+"', text)
    for word in ("access_key", "secret_key", "credentials", "password"):
        for (_,), body in blocks(text, "provider"):
            assert word not in assigned(body)


def test_only_the_load_balancers_rule_is_for_the_world() -> None:
    """Addresses that may connect from outside come from allowed_cidrs, which has no default and no 0.0.0.0/0."""
    for folder in ROOTS:
        (body,) = (
            b for labels, b in blocks(without_comments(folder), "variable") if labels == ("allowed_cidrs",)
        )
        assert "default" not in assigned(body)
        assert "must not be open to the world" in body
    text = "\n".join(without_comments(folder) for folder in MODULES)
    for labels, body in blocks(text, "resource"):
        if labels[0] == "aws_vpc_security_group_ingress_rule" and "cidr_ipv4" in assigned(body):
            assert "for_each          = toset(var.allowed_cidrs)" in body
        if labels[0] == "google_compute_firewall":
            assert "source_ranges = [var.cidr]" in body
        for public in ("publicly_accessible", "assign_public_ip", "ipv4_enabled", "map_public_ip_on_launch"):
            found = re.search(rf"^\s+{public}\s+= (.+)$", body, re.M)
            assert found is None or found[1] == "false", labels


@pytest.mark.parametrize("folder", ROOTS, ids=named)
def test_airflow_knows_every_variable_it_is_given(folder: Path) -> None:
    """A misspelt option of Airflow's is passed over in silence, by it and by everybody else."""
    found = importlib.util.find_spec("airflow")
    if found is None or not found.submodule_search_locations:
        pytest.skip("Airflow is not installed")
    places = [Path(place) / "config_templates" / "config.yml" for place in found.submodule_search_locations]
    known = yaml.safe_load(next(place for place in places if place.is_file()).read_text())
    given = set(re.findall(r"\bAIRFLOW__(\w+?)__(\w+)\s+=", without_comments(folder)))
    assert ("API", "BASE_URL") in given
    for section, key in given:
        assert key.lower() in known[section.lower()]["options"], f"{section}.{key}"


# Each service's role of PostgreSQL, and how its password is called in each cloud.
ROLES = {"console": "console", "registry": "registry", "orchestration": "airflow"}
PASSWORD = {"aws": "store_{}_password", "gcp": "store-{}-password"}


@pytest.mark.parametrize("folder", ROOTS, ids=named)
def test_a_service_signs_in_as_its_own_role(folder: Path) -> None:
    """Neither the owner's nor the administrator's password is given to anything but single commands."""
    text = without_comments(folder)
    password = PASSWORD[folder.name]
    services = {labels[0]: body for labels, body in blocks(text, "module") if "/modules/service" in body}
    for name, role in ROLES.items():
        body = services[name]
        # AWS puts user and password of a role together
        body = body.replace(f'local.roles["{role}"].environment', f'ACTIVITY_STORE__USER = "activity_{role}"')
        body = body.replace(f'local.roles["{role}"].secrets', password.format(role))
        assert password.format(role) in body, name
        assert re.search(rf'ACTIVITY_STORE__USER\s+= "activity_{role}"|://activity_{role}@', body), name
        assert "admin" not in body.replace("admin:admin", "").replace('{"admin":', "")
        assert not re.search(r"store[_-]password|://activity@", body), name
    (engine,) = (body for labels, body in blocks(text, "module") if labels == ("engine",))
    assert not re.search(r"store[_-]password\b|admin", engine)
    secrets = (folder / "modules" / "store" / "main.tf").read_text()
    for role in ("scorer", "generator"):
        assert role in secrets


@pytest.mark.parametrize("cloud", PASSWORD)
def test_the_page_fills_every_password_of_a_role(cloud: str) -> None:
    """What sql/roles.sql reads from the environment is given to single commands, and filled by docs/cloud.md."""
    wanted = set(
        re.findall(r"\\getenv \w+ (STORE_\w+_PASSWORD)", (ROOT.parents[1] / "sql" / "roles.sql").read_text())
    )
    text = without_comments(ROOT / cloud)
    roles = {name.removeprefix("STORE_").removesuffix("_PASSWORD").lower() for name in wanted} - {"owner"}
    listed = re.search(
        r'\["generator", "scorer", "console", "airflow", "registry", "reader", "sender"\]', text
    )
    assert listed
    assert roles == set(re.findall(r'"(\w+)"', listed[0]))
    assert "STORE_OWNER_PASSWORD" in text
    page = (ROOT.parents[1] / "docs" / "cloud.md").read_text().split("## Google Cloud")[cloud == "gcp"]
    boxes = (ROOT / "gcp" / "modules" / "store" / "main.tf").read_text()
    for role in roles:
        assert role in page, role
        assert cloud == "aws" or f'"store-{role}-password"' in boxes, role
    assert page.count("sql/roles.sql") >= 1


def test_the_page_names_the_release_that_runs_sparks_image() -> None:
    (default,) = (
        re.search(r'default\s+= "(.+)"', body)
        for labels, body in blocks(without_comments(ROOT / "aws"), "variable")
        if labels == ("emr_release",)
    )
    assert default
    page = (ROOT.parent.parent / "docs" / "cloud.md").read_text()
    assert f"the base\nimage of `{default[1]}`" in page


def test_no_proxy_is_believed_wherever_it_is() -> None:
    """The client's address is the key of the limit of sign-ins."""
    root = ROOT.parents[1]
    files = [
        root / "docker-compose.yml",
        root / "config.yaml",
        *root.glob("infra/**/*.tf"),
        *root.glob("infra/**/*.y*ml"),
    ]
    text = "\n".join(file.read_text() for file in files if ".terraform" not in file.parts)
    assert "FORWARDED_ALLOW_IPS" not in text
    assert "forwarded-allow-ips" not in text
    believed = re.findall(r"TRUSTED_PROXIES\W+(.*)", text)
    assert len(believed) == 2
    assert not [one for one in believed if "0.0.0.0/0" in one or '"*"' in one]
