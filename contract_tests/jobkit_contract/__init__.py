"""The contract that every jobkit transport and store keeps, as a test suite."""
