#!/usr/bin/env python3
"""Reads requests as Python does and says what it read: the other side of tests/it/differential.rs.

One request a line on stdin, as JSON: {"target", "body" or null}. One line of JSON for each on stdout:
{"path", "query": [[name, value]…], "body": value or null, "orders": [[value or null for each name of NAMES]…]}.
A value is a list of its kind and what it holds, so that nothing is lost on the way: ["number", "1.50"].

Standard library only.
"""
import json
import sys
from urllib.parse import parse_qsl, urlsplit

NAMES = sys.argv[1].split(",")


class Number(str):
    """The text of a number."""


def members(pairs):
    """An object; a name that stands twice ends the run."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def no_constant(word):
    """NaN and its like are not JSON, although Python reads them."""
    raise ValueError(word)


def told(value):
    """A value with its kind."""
    match value:
        case None | True | False:
            return [json.dumps(value)]
        case Number():
            return ["number", str(value)]
        case str():
            return ["text", value]
        case list():
            return ["array", [told(item) for item in value]]
        case dict():
            return ["object", [[name, told(item)] for name, item in value.items()]]


def orders(body):
    """The members that matter of each object that could be an order."""
    items = body if isinstance(body, list) else [body]
    objects = [item for item in items if isinstance(item, dict)]
    return [[told(item[name]) if name in item else None for name in NAMES] for item in objects]


def read(request):
    """What Python makes of a request."""
    url = urlsplit("https://exchange.example" + request["target"])
    query = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    answer = {"path": url.path, "query": query, "body": None, "orders": []}
    if request["body"] is not None:
        body = json.loads(request["body"], object_pairs_hook=members, parse_int=Number, parse_float=Number,
                          parse_constant=no_constant)
        answer |= {"body": told(body), "orders": orders(body)}
    return answer


for line in sys.stdin:
    try:
        print(json.dumps(read(json.loads(line))))
    except (ValueError, RecursionError) as error:
        print(json.dumps({"refused": str(error)}))
