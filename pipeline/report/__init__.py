"""The report: all tables in, one static, self-contained HTML page out."""
