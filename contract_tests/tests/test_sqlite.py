"""The embedded default keeps the contract."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jobkit_contract.harness import Harness
from jobkit_contract.testing import ContractTests

FOLDER = tempfile.TemporaryDirectory(prefix="jobkit-contract-")


class TestSqlite(ContractTests):
    @classmethod
    def harness(cls) -> Harness:
        return Harness.of(f"sqlite:///{Path(FOLDER.name) / 'jobs.db'}")
