"""What JSON Schema says of a document, for the keywords that the schemas of OCSF use. An unknown keyword fails, so that none is
passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "deprecated"}
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}


def is_a(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (not isinstance(value, bool) or name == "boolean")


def violations(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> Iterator[str]:
    for keyword, said in schema.items():
        if keyword in ANNOTATIONS:
            continue
        elif keyword == "$ref":
            yield from violations(value, root["$defs"][said.removeprefix("#/$defs/")], root, at)
        elif keyword == "type":
            if not any(is_a(value, name) for name in ([said] if isinstance(said, str) else said)):
                yield f"{at}: {value!r} is no {said}"
        elif keyword == "enum":
            if value not in said:
                yield f"{at}: {value!r} is none of {said}"
        elif keyword == "const":
            if value != said:
                yield f"{at}: {value!r} is not {said!r}"
        elif keyword in ("anyOf", "oneOf"):
            fitting = sum(not list(violations(value, each, root, at)) for each in said)
            if not (fitting == 1 if keyword == "oneOf" else fitting):
                yield f"{at}: {fitting} of {keyword} {said} hold"
        elif keyword == "required":
            yield from (f"{at}: lacks {name}" for name in said if isinstance(value, dict) and name not in value)
        elif keyword == "properties":
            for name in said.keys() & value.keys() if isinstance(value, dict) else ():
                yield from violations(value[name], said[name], root, f"{at}.{name}")
        elif keyword == "additionalProperties":
            if said is False and isinstance(value, dict):
                yield from (f"{at}: {name} is not known" for name in value if name not in schema.get("properties", {}))
        elif keyword == "items":
            for number, item in enumerate(value if isinstance(value, list) else ()):
                yield from violations(item, said, root, f"{at}[{number}]")
        elif keyword == "pattern":
            if isinstance(value, str) and not re.search(said, value):
                yield f"{at}: {value!r} is not like {said}"
        elif keyword == "maxLength":
            if isinstance(value, str) and len(value) > said:
                yield f"{at}: longer than {said}"
        elif keyword in ("minimum", "maximum"):
            if is_a(value, "number") and (value < said if keyword == "minimum" else value > said):
                yield f"{at}: {value} against {keyword} {said}"
        else:
            raise NotImplementedError(f"{at}: {keyword}")
