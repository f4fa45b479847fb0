"""Validates manifests with jsonschema.

Takes the schema's file. Reads manifests as JSON, one a line, and prints a line for each: the places
of its errors, as JSON.
"""
import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for line in sys.stdin:
    errors = validator.iter_errors(json.loads(line))
    print(json.dumps(sorted(".".join(str(part) for part in error.absolute_path) for error in errors)))
