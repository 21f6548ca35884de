"""
Faulty adapters, one defect each: the proof that the suite itself can fail.

``python -m jobkit_contract.mutants`` prints which clause catches which fault.
"""

from jobkit_contract.mutants.bank import BANK, Fault, harness_for, load_bank

__all__ = ["BANK", "Fault", "harness_for", "load_bank"]
