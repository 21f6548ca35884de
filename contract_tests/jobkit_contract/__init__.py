"""
The contract that every jobkit transport and store keeps, as a test suite.
"""

SUITE_VERSION = "0.1.0"
"""The version of the clauses. A verdict without it means nothing, so every report prints it."""
