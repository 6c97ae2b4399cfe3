"""The command line: arguments in, one line for every failure out."""
