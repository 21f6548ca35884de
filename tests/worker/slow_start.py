"""An app whose import takes longer than its isolated handler may."""

import time

from jobkit import JobKit, RetryPolicy

jobs = JobKit()

time.sleep(1.5)


@jobs.handler(track=True, isolated=True, timeout=1.0, retry=RetryPolicy(max_attempts=1))
def quick() -> str:
    return "in time"
