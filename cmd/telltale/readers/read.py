"""Reads a result of POST /api/v1/sql from standard input as programs do, with the standard library alone, and prints its rows as
JSON, each value as a text that is the same for the same value in every format:
  python3 read.py csv|json|ndjson
"""

import ast
import csv
import datetime
import io
import json
import math
import struct
import sys


def bits(number):
    return "nan" if math.isnan(number) else struct.pack(">d", number).hex()


def moment(text):
    return datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").isoformat(timespec="milliseconds") + "Z"


def labels(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


AS = {"at": moment, "labels": labels, "value": bits}


def row(values):
    return {name: None if v is None else AS.get(name, str)(v) for name, v in values.items()}


def from_csv(text):
    for values in csv.DictReader(io.StringIO(text, newline="")):
        values = {name: None if v == r"\N" else v for name, v in values.items()}
        yield {**values, "labels": ast.literal_eval(values["labels"]), "value": float(values["value"])}


def rows(form, text):
    if form == "csv":
        return from_csv(text)
    if form == "ndjson":
        return (json.loads(line) for line in text.split("\n") if line)
    whole = json.loads(text)
    assert whole["rows"] == len(whole["data"]), whole["rows"]
    assert list(whole["data"][0]) == [column["name"] for column in whole["meta"]], whole["meta"]
    return whole["data"]


print(json.dumps([row(r) for r in rows(sys.argv[1], sys.stdin.buffer.read().decode())]))
