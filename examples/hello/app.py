"""
Hello, job. Nothing but a file is needed:

    python app.py && jobkit worker app:jobs --burst
"""

from jobkit import JobKit

jobs = JobKit(default="sqlite:///hello.db")


@jobs.handler
def greet(name: str) -> None:
    print(f"Hello, {name}!")


if __name__ == "__main__":
    greet.enqueue("world")
