"""The reference keeps the contract."""

from __future__ import annotations

from jobkit_contract.clause import Plane
from jobkit_contract.testing import ContractTests


class TestMemory(ContractTests):
    url = "memory://"
    planes = frozenset({Plane.TRANSPORT, Plane.STORE})
