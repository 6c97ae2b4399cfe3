"""Runs over more sequences than memory holds."""
