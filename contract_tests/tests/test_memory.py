"""The reference keeps the contract."""

from __future__ import annotations

from jobkit_contract.testing import ContractTests


class TestMemory(ContractTests):
    url = "memory://"
