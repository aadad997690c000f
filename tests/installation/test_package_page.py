"""What a package index shows of the project, and that no link in the documents leads nowhere."""

from __future__ import annotations

import email
import email.message
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .environments import ROOT

_LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
_DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_string(archive.read(name).decode())


def test_index_takes_the_distributions(wheel: Path, sdist: Path) -> None:
    # The index renders the README as twine does, and refuses what twine refuses.
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("PASSED") == 2


def test_metadata_says_who_under_which_licence_and_where(metadata: email.message.Message) -> None:
    assert metadata["Author"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    labels = {line.split(",")[0] for line in metadata.get_all("Project-URL", [])}
    assert {"Homepage", "Documentation", "Changelog", "Source", "Issues", "Security"} <= labels
    classifiers = metadata.get_all("Classifier", [])
    assert "Typing :: Typed" in classifiers
    # PEP 639: the expression says it; a classifier beside it is refused.
    assert not [line for line in classifiers if line.startswith("License ::")]


def test_extras_are_for_users(metadata: email.message.Message) -> None:
    assert "dev" not in metadata.get_all("Provides-Extra", [])


def test_both_packages_are_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"primus_lens_wandb_exporter/py.typed", "primus_lens_local/py.typed"} <= set(names)


def test_links_of_the_package_page_are_absolute_and_lead_to_files(metadata: email.message.Message) -> None:
    links = _links(str(metadata.get_payload()))
    assert len(links) > 5
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    own = urls["Source"] + "/blob/main/"
    raw = own.replace("github.com", "raw.githubusercontent.com").replace("/blob", "")
    for link in links:
        assert link.startswith(("https://", "#")), f"{link} leads nowhere on a package page"
        for base in (own, raw):
            if link.startswith(base):
                assert (ROOT / link[len(base) :].partition("#")[0]).is_file(), link
    assert any(link.startswith(own) for link in links)
    assert any(link.startswith(raw) and link.endswith(".png") for link in links)


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_of_a_document_lead_to_files_and_headings(document: Path) -> None:
    for link in _links(document.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            assert anchor in _anchors(target), f"{document.name}: {link}"


def _links(text: str) -> list[str]:
    return ["".join(found) for found in _LINK.findall(text)]


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
