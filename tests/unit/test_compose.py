"""`docker-compose.yml` and `Dockerfile`: no default secret, pinned images, health, and one source of truth.

Left out: whether Docker takes them, which needs Docker.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from aaa import __version__
from aaa.settings import read_settings

ROOT = Path(__file__).parent.parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
NODES = ("ray-head", "ray-worker", "control-plane")
SECRETS = ("AAA_TOKEN", "RAY_AUTH_TOKEN", "POSTGRES_PASSWORD")


def test_the_services_are_there() -> None:
    assert set(SERVICES) == {"postgres", "migrate", *NODES}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_has_no_default(name: str) -> None:
    """Every use refuses to start without it, and nothing else stands where it should."""
    uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", COMPOSE)
    assert uses
    assert all(use.startswith(":?") for use in uses)
    for service in SERVICES.values():
        given = service.get("environment", {}).get(name)
        assert given is None or str(given).startswith("${" + name + ":?")


@pytest.mark.parametrize("name", NODES)
def test_ray_nodes_want_the_clusters_token(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN"].startswith("${RAY_AUTH_TOKEN:?")


@pytest.mark.parametrize("name", NODES)
def test_ray_nodes_have_keys_cards_and_models(name: str) -> None:
    """Ray may put a seat on any of them."""
    service = SERVICES[name]
    assert service["env_file"] == [{"path": "${AAA_KEYS_FILE:-keys.env}", "required": False}]
    inside = [volume.split(":")[1] for volume in _volumes(name)]
    assert inside == ["/var/lib/aaa", "/etc/aaa/agents", "/etc/aaa/scenarios"]
    for folder in inside:
        assert folder in DOCKERFILE


def test_keys_go_nowhere_else() -> None:
    assert not any("env_file" in SERVICES[name] for name in ("postgres", "migrate"))


def test_the_dashboard_of_ray_is_off() -> None:
    assert "--include-dashboard=false" in SERVICES["ray-head"]["command"]
    assert "8265" not in COMPOSE


def test_only_the_control_plane_is_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"control-plane": ["${AAA_LISTEN:-127.0.0.1:8700}:8700"]}


@pytest.mark.parametrize("name", ["postgres", *NODES])
def test_what_runs_is_watched_and_started_again(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"


def test_readiness_is_what_the_control_plane_is_asked() -> None:
    assert "/readyz" in SERVICES["control-plane"]["healthcheck"]["test"][-1]
    assert SERVICES["postgres"]["healthcheck"]["test"][1] == "pg_isready"


def test_the_schema_comes_before_the_control_plane() -> None:
    assert SERVICES["migrate"]["command"] == ["db", "upgrade"]
    waits = SERVICES["control-plane"]["depends_on"]
    assert waits["migrate"] == {"condition": "service_completed_successfully"}
    assert waits["ray-head"] == {"condition": "service_healthy"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_images_are_pinned() -> None:
    assert re.fullmatch(r"postgres:18\.\d+-\w+", SERVICES["postgres"]["image"])
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base) for base in bases)
    ours = {SERVICES[name]["image"] for name in ("migrate", *NODES)}
    assert ours == {"aaa:${AAA_VERSION:-" + __version__ + "}"}


def test_the_image_holds_the_locked_packages_and_runs_as_nobody_special() -> None:
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users == ["aaa"]
    assert not re.search(r"^(ENV|ARG).*(TOKEN|KEY|PASSWORD)", DOCKERFILE, re.MULTILINE)


def test_what_the_image_copies_is_not_ignored() -> None:
    allowed = {
        line[1:].rstrip("/")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {source for line in copied for source in line.split()} == allowed
    assert all((ROOT / source).exists() for source in allowed)


def test_the_variables_are_those_that_aaa_reads() -> None:
    """A renamed setting would leave the file behind."""
    environment = SERVICES["control-plane"]["environment"]
    ours = {name: "1" for name in environment if name.startswith("AAA_")}
    settings = read_settings({**ours, "DATABASE_URL": "x", "RAY_ADDRESS": "y", "AAA_TOKEN": "z"})
    assert settings.runners == 1
    assert settings.ray_address == "y"
    assert settings.token is not None
    assert set(environment) == {
        *ours, "DATABASE_URL", "RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED"
    }  # fmt: skip


def _volumes(name: str) -> list[str]:
    """A node's volumes with their host sides' variables filled."""
    return [re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", volume) for volume in SERVICES[name]["volumes"]]
