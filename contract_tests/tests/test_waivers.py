"""An excuse must be whole: clause, reason and date."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from jobkit_contract.waivers import Waiver, read_waivers


def read(tmp_path: Path, text: str) -> tuple[Waiver, ...]:
    file = tmp_path / "waivers.toml"
    file.write_text(text)
    return read_waivers(file, ["DLV-5", "LSE-2"])


def test_waivers_are_read_from_a_file(tmp_path: Path) -> None:
    text = '[[waiver]]\nclause = "DLV-5"\nreason = "issue 12"\nuntil = 2026-12-31\n'
    assert read(tmp_path, text) == (Waiver("DLV-5", "issue 12", date(2026, 12, 31)),)


def test_a_file_without_waivers_is_fine(tmp_path: Path) -> None:
    assert read(tmp_path, "") == ()


@pytest.mark.parametrize(
    "text",
    [
        'clause = "XYZ-1"\nreason = "r"\nuntil = 2026-12-31',
        'clause = "DLV-5"\nreason = " "\nuntil = 2026-12-31',
        'clause = "DLV-5"\nuntil = 2026-12-31',
        'clause = "DLV-5"\nreason = "r"',
        'clause = "DLV-5"\nreason = "r"\nuntil = "soon"',
        'clause = "DLV-5"\nreason = "r"\nuntil = 2026-12-31T00:00:00Z',
        'clause = "DLV-5"\nreason = "r"\nuntil = 2026-12-31\n[[waiver]]\nclause = "DLV-5"\nreason = "r"\nuntil = 2027-12-31',
    ],
)
def test_an_excuse_that_is_not_whole_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="waiver"):
        read(tmp_path, f"[[waiver]]\n{text}\n")
