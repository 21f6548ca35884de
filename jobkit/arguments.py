"""
A handler's arguments: checked against its signature where they are enqueued, and decoded into its types where it runs.

The check is the wire itself: what was passed is encoded and decoded again as the worker will do it. So what passes here
cannot fail there, as long as both run the same code.
"""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from jobkit.errors import ConfigurationError, InvalidArguments, InvalidResult

_REFUSED = {
    inspect.Parameter.VAR_POSITIONAL: "*{} cannot be checked; take a list instead",
    inspect.Parameter.VAR_KEYWORD: "**{} cannot be checked; take a dict instead",
    inspect.Parameter.POSITIONAL_ONLY: "{} is positional-only; arguments travel by name",
}


def check_function(function: Callable[..., Any]) -> None:
    """
    Raises:
        ConfigurationError: *function* cannot be a handler: a lambda, a method, nested, or with a parameter that cannot be
            checked. The message names it.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not inspect.isfunction(function):
        raise ConfigurationError(f"{name}: a handler is a plain function (def or async def) of a module")
    if name.endswith("<lambda>"):
        raise ConfigurationError(f"{name} in {function.__module__}: a lambda has no name for its jobs; use def")
    if "<locals>" in name:
        raise ConfigurationError(f"{name}: a nested function cannot be found by a worker; move it to its module")
    if "." in name:
        raise ConfigurationError(f"{name}: a method cannot be a handler; its object would not travel with the job")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{name}: a generator cannot be a handler")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in _REFUSED:
            raise ConfigurationError(f"{name}: {_REFUSED[parameter.kind].format(parameter.name)}")
        if parameter.annotation is inspect.Parameter.empty:
            raise ConfigurationError(f"{name}: the parameter {parameter.name!r} has no annotation to check it by")


class Arguments:
    """
    The parameters of one handler. Annotations are resolved at first use, so they may name what is defined later.

    Args:
        name: The handler's name, for messages.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name
        self._signature = inspect.signature(function)
        self._decoder: msgspec.json.Decoder[msgspec.Struct] | None = None
        self._result: Any = None

    @property
    def first(self) -> str | None:
        """The first parameter's name, which takes the previous result in a chain."""
        return next(iter(self._signature.parameters), None)

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], leave_out: str | None = None) -> msgspec.Raw:
        """
        What was passed, by name, as JSON.

        Args:
            leave_out: A parameter that comes later, from the job before in a chain.

        Raises:
            InvalidArguments: An argument is missing, unknown, or of a wrong type; the message names it.
        """
        values = self._bind(args, kwargs, leave_out)
        try:
            encoded = msgspec.json.encode(values, enc_hook=_encode_other)
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            raise InvalidArguments(f"{self._name}: {self._culprit(values)}: {error}") from error
        self._refuse_not_finite(values, encoded)
        if leave_out is None:
            self._decode(encoded)
        return msgspec.Raw(encoded)

    def decode(self, encoded: msgspec.Raw) -> dict[str, Any]:
        """
        The arguments to call the handler with.

        Raises:
            InvalidArguments: They do not fit; most likely the handler has changed since.
        """
        struct = self._decode(bytes(encoded))
        values = ((name, getattr(struct, name)) for name in struct.__struct_fields__)
        return {name: value for name, value in values if value is not msgspec.UNSET}

    def decode_with_defaults(self, encoded: msgspec.Raw) -> dict[str, Any]:
        """The arguments as the handler will see them, its own defaults included."""
        bound = self._signature.bind(**self.decode(encoded))
        bound.apply_defaults()
        return dict(bound.arguments)

    def encode_result(self, value: Any) -> bytes:
        """
        Raises:
            TypeError: *value* cannot be encoded; the message names its type.
        """
        return msgspec.json.encode(value, enc_hook=_encode_other)

    def decode_result(self, encoded: bytes) -> Any:
        """
        The result in the type that the handler's return annotation names.

        Raises:
            InvalidResult: It is of another type.
        """
        self._resolve()
        try:
            return msgspec.json.decode(encoded, type=self._result, dec_hook=_decode_other)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise InvalidResult(f"{self._name}: its result is not what it is annotated to return: {error}") from error

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        return msgspec.json.schema(self._resolve().type)

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], leave_out: str | None) -> dict[str, Any]:
        signature = self._signature
        if leave_out is not None:
            rest = [parameter for parameter in signature.parameters.values() if parameter.name != leave_out]
            signature = signature.replace(parameters=rest)
        try:
            return signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise InvalidArguments(f"{self._name}: {error}; it takes {self._signature}") from None

    def _decode(self, encoded: bytes) -> msgspec.Struct:
        try:
            return self._resolve().decode(encoded)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise InvalidArguments(f"{self._name}: {_in_words(str(error))}") from error

    def _resolve(self) -> msgspec.json.Decoder[msgspec.Struct]:
        if self._decoder is None:
            try:
                hints = typing.get_type_hints(self._function, include_extras=True)
            except (NameError, AttributeError, TypeError, SyntaxError) as error:
                raise ConfigurationError(f"{self._name}: its annotations cannot be resolved: {error}") from error
            fields = [self._field(parameter, hints) for parameter in self._signature.parameters.values()]
            struct = msgspec.defstruct("Arguments", fields, forbid_unknown_fields=True, kw_only=True)
            self._result = hints.get("return", Any)
            try:
                self._decoder = msgspec.json.Decoder(struct, dec_hook=_decode_other)
            except TypeError as error:
                raise ConfigurationError(f"{self._name}: {error}") from error
        return self._decoder

    @staticmethod
    def _field(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
        kind = hints[parameter.name]
        if parameter.default is inspect.Parameter.empty:
            return parameter.name, kind
        # Left unset, so that the handler's own default applies, also one that has changed since the enqueue.
        return parameter.name, kind | msgspec.UnsetType, msgspec.UNSET

    def _refuse_not_finite(self, values: Mapping[str, Any], encoded: bytes) -> None:
        """JSON has no NaN and no infinity. They would travel as null, and where null is allowed nobody would notice."""
        if b"null" not in encoded:
            return
        for name, value in values.items():
            if not _is_finite(msgspec.to_builtins(value, str_keys=True, enc_hook=_encode_other)):
                raise InvalidArguments(f"{self._name}: argument {name!r}: NaN and infinity cannot be carried by a job")

    def _culprit(self, values: Mapping[str, Any]) -> str:
        for name, value in values.items():
            try:
                msgspec.json.encode(value, enc_hook=_encode_other)
            except (TypeError, ValueError, RecursionError, OverflowError):
                return f"argument {name!r}"
        return "arguments"


def _is_finite(value: Any) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_is_finite, value.values()))
        case list() | tuple() | set() | frozenset():
            return all(map(_is_finite, value))
        case _:
            return True


def _in_words(message: str) -> str:
    """msgspec's message with its path as a person reads it: ``$.user_id`` is the argument 'user_id'."""
    text, found, path = message.partition(" - at `$.")
    if not found:
        return message
    return f"argument {path.rstrip('`')!r}: {text}"


def _encode_other(value: Any) -> Any:
    """Models that say themselves how they are dumped (pydantic's) are taken as they are."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    raise TypeError(f"a value of type {type(value).__qualname__} cannot be carried by a job")


def _decode_other(kind: type[Any], value: Any) -> Any:
    validate = getattr(kind, "model_validate", None)
    if validate is not None:
        return validate(value)
    raise TypeError(f"the type {kind.__qualname__} cannot be carried by a job")
