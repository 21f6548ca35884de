"""Throughput and latency of jobkit beside the raw driver, measured in the same run on the same server."""
