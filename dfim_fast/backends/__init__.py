"""Machines that carry out a plan."""
