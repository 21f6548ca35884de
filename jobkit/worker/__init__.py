"""The worker: fetch → admission → run → decision → settle, one engine per process, under a supervisor."""
