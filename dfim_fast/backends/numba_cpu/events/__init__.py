"""The exact incremental engine: one walk per mutant that touches only what the mutant changes."""
