"""The float32 CPU backend."""
