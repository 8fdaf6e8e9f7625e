"""compose.yaml and Containerfile fit each other and the code; no container engine is needed to see it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CLONE = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((CLONE / "compose.yaml").read_text())
CONTAINERFILE = re.sub(r"\\\n", "", (CLONE / "Containerfile").read_text())
PRODUCT = ("web", "worker", "beat", "migrate")


def instructions(word: str) -> list[str]:
    return re.findall(rf"^{word}\s+(.*)$", CONTAINERFILE, re.MULTILINE)


def test_the_services_are_the_processes_of_the_product_and_its_two_stores():
    assert set(COMPOSE["services"]) == {*PRODUCT, "postgis", "redis"}


@pytest.mark.parametrize("name", PRODUCT)
def test_every_process_gets_the_same_image_environment_and_media(name):
    service, web = COMPOSE["services"][name], COMPOSE["services"]["web"]
    assert [service[key] for key in ("build", "environment", "volumes")] == [
        web[key] for key in ("build", "environment", "volumes")
    ]
    assert (CLONE / service["build"]["dockerfile"]).is_file()


def test_the_environment_holds_only_what_the_settings_read():
    settings = (CLONE / "asm_audit" / "settings.py").read_text()
    known = set(re.findall(r'env\.\w+\(\s*"(\w+)"', settings))
    assert set(COMPOSE["services"]["web"]["environment"]) <= known


def test_secrets_come_from_outside_and_are_required():
    environment = COMPOSE["services"]["web"]["environment"]
    for name in ("SECRET_KEY", "DATABASE_PASSWORD", "ALLOWED_HOSTS"):
        assert environment[name].startswith(f"${{{name}:?")
    assert "${REDIS_PASSWORD:?" in environment["REDIS_URL"]


def test_only_the_web_process_is_reached_from_outside_and_only_through_this_machine():
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8000:8000"]}


def test_every_volume_is_declared():
    mounted = {volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service["volumes"]}
    assert mounted == set(COMPOSE["volumes"])


def test_every_service_waited_for_exists():
    waited = {name for service in COMPOSE["services"].values() for name in service.get("depends_on", {})}
    assert waited <= set(COMPOSE["services"])


def test_the_image_has_a_python_the_project_supports():
    (base,) = instructions("FROM")
    assert re.fullmatch(r"docker\.io/library/python:3\.(1[1-9])-slim-bookworm", base)


@pytest.mark.parametrize("copied", [line.split()[0] for line in instructions("COPY")])
def test_everything_copied_exists(copied):
    assert (CLONE / copied).exists()


def test_what_is_copied_is_all_the_settings_need():
    copied = {line.split()[0] for line in instructions("COPY")}
    assert {"manage.py", "asm_audit", "labels", "predictions", "templates", "static", "requirements.txt"} <= copied


@pytest.mark.parametrize("module", ["gunicorn", "celery"])
def test_the_programs_started_are_installed(module):
    started = [*instructions("CMD"), *(service.get("command", "") for service in COMPOSE["services"].values())]
    assert any(module in command for command in started)
    assert subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True).returncode == 0
