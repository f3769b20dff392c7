"""Reading parameters the way Stripe does: everything arrives as text, and every refusal names the parameter."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from holdtrue.stage.payments import errors

_CURRENCY = re.compile(r"[a-zA-Z]{3}\Z")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")


class Params:
    """One level of parameters. What was never read is what the double does not model (`unread`)."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self.values = values
        self._path = path
        self._read: set[str] = set()
        self._children: list[Params] = []

    def name(self, name: str) -> str:
        """The full name of a parameter, as Stripe writes it in errors: `line_items[0][price]`."""
        return f"{self._path}[{name}]" if self._path else name

    def has(self, name: str) -> bool:
        """Whether the parameter was sent with a value."""
        return name in self.values and self.values[name] != ""

    def sent(self, name: str) -> bool:
        """Whether the parameter was sent, be it empty: an empty one unsets."""
        return name in self.values

    def text(self, name: str) -> str | None:
        """A string, or None where it was not sent or is being unset."""
        self._read.add(name)
        value = self.values.get(name)
        if isinstance(value, (dict, list)):
            raise errors.invalid(f"Invalid string: {value}", param=self.name(name))
        return value or None

    def need(self, name: str) -> str:
        """A string that must be there."""
        if name not in self.values:
            raise errors.missing(self.name(name))
        value = self.text(name)
        if value is None:
            raise errors.invalid(
                f"You passed an empty string for '{self.name(name)}'. We assume empty values are an attempt to unset a "
                f"parameter; however '{self.name(name)}' cannot be unset. You should remove '{self.name(name)}' from "
                "your request or supply a non-empty value.",
                param=self.name(name),
                code="parameter_invalid_empty",
            )
        return value

    def integer(self, name: str, *, minimum: int | None = None) -> int | None:
        """A whole number, or None where it was not sent."""
        value = self.text(name)
        return None if value is None else self._whole(name, value, minimum)

    def need_integer(self, name: str, *, minimum: int | None = None) -> int:
        """A whole number that must be there."""
        return self._whole(name, self.need(name), minimum)

    def decimal(self, name: str) -> Decimal | None:
        """A decimal number, or None where it was not sent."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return Decimal(value)
        except InvalidOperation as error:
            raise errors.invalid(f"Invalid decimal: {value}", param=self.name(name)) from error

    def boolean(self, name: str) -> bool | None:
        """True or false, or None where it was not sent."""
        value = self.text(name)
        if value is None:
            return None
        if value not in ("true", "false"):
            raise errors.invalid(f"Invalid boolean: {value}", param=self.name(name))
        return value == "true"

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        """One of a few words, or None where it was not sent."""
        value = self.text(name)
        if value is not None and value not in allowed:
            options = ", ".join(allowed[:-1]) + f", or {allowed[-1]}" if len(allowed) > 1 else allowed[0]
            raise errors.invalid(f"Invalid {self.name(name)}: must be one of {options}", param=self.name(name))
        return value

    def currency(self, name: str = "currency") -> str:
        """A three-letter currency, lower case."""
        value = self.need(name)
        if not _CURRENCY.match(value):
            raise errors.invalid(f"Invalid currency: {value.lower()}.", param=self.name(name))
        return value.lower()

    def email(self, name: str) -> str | None:
        """An address with an @ and a dot after it, as Stripe checks it."""
        value = self.text(name)
        if value is not None and not _EMAIL.match(value):
            raise errors.invalid(f"Invalid email address: {value}", param=self.name(name), code="email_invalid")
        return value

    def nested(self, name: str) -> "Params":
        """The parameters below a name; empty where none were sent."""
        self._read.add(name)
        value = self.values.get(name) or {}
        if not isinstance(value, dict):
            raise errors.invalid(f"Invalid object: {name}", param=self.name(name))
        return self._child(value, self.name(name))

    def items(self, name: str) -> list["Params"]:
        """A list of groups of parameters."""
        self._read.add(name)
        value = self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise errors.invalid("Invalid array", param=self.name(name))
        return [self._child(entry, f"{self.name(name)}[{at}]") for at, entry in enumerate(value)]

    def texts(self, name: str) -> list[str]:
        """A list of strings."""
        self._read.add(name)
        value = self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise errors.invalid("Invalid array", param=self.name(name))
        return list(value)

    def metadata(self, old: Mapping[str, str] | None = None, name: str = "metadata") -> dict[str, str]:
        """Metadata merged into the old: an empty value removes a key, an empty `metadata` removes all."""
        self._read.add(name)
        if self.values.get(name) == "":
            return {}
        merged = dict(old or {})
        for key, value in self.nested(name).values.items():
            if not isinstance(value, str):
                raise errors.invalid("Metadata values must be strings", param=f"{self.name(name)}[{key}]")
            if value == "":
                merged.pop(key, None)
            else:
                merged[key] = value
        return merged

    def echo(self, name: str) -> Any:
        """A value that the object only repeats; `true`, `false` and the rest of the text as they are."""
        self._read.add(name)
        return _plain(self.values.get(name))

    def unread(self) -> Iterator[str]:
        """Names that were sent but never looked at, with list positions removed."""
        for name in self.values:
            if name not in self._read:
                yield re.sub(r"\[\d+\]", "[]", self.name(name))
        for child in self._children:
            yield from child.unread()

    def _whole(self, name: str, value: str, minimum: int | None) -> int:
        if not re.fullmatch(r"-?\d+", value):
            raise errors.invalid(f"Invalid integer: {value}", param=self.name(name), code="parameter_invalid_integer")
        number = int(value)
        if minimum is not None and number < minimum:
            least = f"This value must be greater than or equal to {minimum}."
            raise errors.invalid(
                "Invalid positive integer" if minimum == 1 else least,
                param=self.name(name),
                code="parameter_invalid_integer",
            )
        return number

    def _child(self, values: Mapping[str, Any], path: str) -> "Params":
        child = Params(values, path)
        if not path.rstrip("]").endswith("metadata"):  # of `payment_intent_data[metadata]`, too
            self._children.append(child)
        return child


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return {"true": True, "false": False, "": None}.get(value, value)
