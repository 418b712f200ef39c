"""What bodies and answers look like: pydantic models with examples, from which /openapi.json is made."""
