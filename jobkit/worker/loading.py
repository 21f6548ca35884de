"""Finding the app that a command line names: ``module:attribute``."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from jobkit.app import JobKit
from jobkit.errors import ConfigurationError
from jobkit.url import nearest


def load_app(path: str, factory: bool = False) -> JobKit:
    """
    The app at *path*, such as ``shop.app:jobs``; the attribute is "jobs" if none is named.

    Modules are found in the current directory too, as ``python -m`` does it.

    Raises:
        ConfigurationError: The module or attribute is missing, or is no app; the message names it.
    """
    name, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(f"app {path!r}: name it as module:attribute, such as shop.app:jobs")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(name)
    except (ImportError, SyntaxError) as error:
        raise ConfigurationError(f"{path}: {name} cannot be imported: {error}") from error
    found: Any = getattr(module, attribute or "jobs", None)
    if found is None:
        apps = [known for known, value in vars(module).items() if isinstance(value, JobKit)]
        raise ConfigurationError(f"{path}: {name} has no attribute {attribute or 'jobs'!r}{nearest(attribute, apps)}")
    if factory or (callable(found) and not isinstance(found, JobKit)):
        if not factory:
            raise ConfigurationError(f"{path} is a function; to call it for the app, give --factory")
        if not callable(found):
            raise ConfigurationError(f"{path} is {type(found).__name__}, not a function; leave out --factory")
        found = found()
    if not isinstance(found, JobKit):
        raise ConfigurationError(f"{path} is {type(found).__name__}, not a JobKit")
    return found
