"""The engine's facade, one module per noun. Programs import these names from `aura_engine`."""
