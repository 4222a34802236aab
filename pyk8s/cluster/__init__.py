"""The typed model of an inventory: unknown keys and bad values are refused by name."""
