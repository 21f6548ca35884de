"""PostgreSQL keeps the contract."""

from __future__ import annotations

import os
from typing import ClassVar

import pytest

from jobkit_contract.testing import ContractTests

URL = os.environ.get("JOBKIT_TEST_POSTGRES_URL", "")


@pytest.mark.skipif(not URL, reason="JOBKIT_TEST_POSTGRES_URL names no server")
class TestPostgres(ContractTests):
    url: ClassVar[str] = URL or "postgresql://localhost/unknown"
