"""Config machinery: YAML with line numbers, overrides, typed validation, readable dumps, JSON schema."""
