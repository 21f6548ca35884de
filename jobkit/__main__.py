"""``python -m jobkit`` is the command ``jobkit``."""

from jobkit.cli import main

if __name__ == "__main__":
    main()
