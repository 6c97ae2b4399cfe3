"""Operators as kernel launches: one file for each family of kernels."""
