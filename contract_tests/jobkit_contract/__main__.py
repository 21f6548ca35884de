"""``python -m jobkit_contract URL``: the same as ``jobkit contract URL``."""

from jobkit_contract.cli import contract

if __name__ == "__main__":
    contract()
