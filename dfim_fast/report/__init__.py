"""The report of a finished run: one page that opens from disk without a network."""

from dfim_fast.report.runs import REPORT, write_report

__all__ = ["REPORT", "write_report"]
