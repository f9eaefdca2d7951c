"""What pages are built from: layout, icons, tables, choices, theme."""
