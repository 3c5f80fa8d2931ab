"""What a request is refused with: a status, and what is wrong in words, without anything of the inside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wctstyle.errors import WctStyleError, WeightsError

FAULT = "Something went wrong here; the server's log says what. Please try once more."


class Refused(Exception):
    """A request or job that fails: status, what is wrong, the field that is meant, and the nearest known names."""

    def __init__(
        self,
        status: int,
        what: str,
        *,
        field: str | None = None,
        nearest: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(what)
        self.status, self.what, self.field = status, what, field
        self.nearest, self.headers = tuple(nearest), dict(headers or {})

    def to_json(self) -> dict[str, Any]:
        """Write it in JSON's types."""
        found: dict[str, Any] = {"what": self.what, "field": self.field}
        return {**found, "nearest": list(self.nearest)} if self.nearest else found


def field_names(text: str) -> str:
    """Write `--style-mask`, as errors of the rooms below have it, as `style_mask`."""
    return re.sub(r"(?<![\w-])--([a-z][a-z-]*)", lambda found: found[1].replace("-", "_"), text)


def refused(error: WctStyleError, names: Iterable[str], model: str | None = None) -> Refused:
    """Tell an error of the rooms below to a client; `names` are the fields that there are."""
    if isinstance(error, WeightsError):  # it names files of this machine
        return Refused(422, f"model is {model!r}, which cannot be loaded here; choose another", field="model")
    text = field_names(str(error))
    first = re.match(r"(weight of a style|\w+)", text)
    word = first[1].split()[0] if first else ""
    return Refused(422, text, field=word if word in names else None)
