"""JSON Schemas as providers take them. Shared by the adapters."""


def strict(schema: object) -> bool:
    """Whether strict mode takes a schema: every object closed, every property required."""
    if isinstance(schema, list):
        return all(strict(part) for part in schema)
    if not isinstance(schema, dict):
        return True
    if "properties" in schema or schema.get("type") == "object":
        names = set(schema.get("properties", {}))
        closed = schema.get("additionalProperties") is False
        if not closed or names != set(schema.get("required", ())):
            return False
    return all(strict(part) for part in schema.values())
