"""Attributions and interaction maps."""
