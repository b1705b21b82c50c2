"""Row types, the paths of tables and of clip files, the funnel."""
