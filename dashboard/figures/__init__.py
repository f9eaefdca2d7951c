"""Rows in, plotly figures out: used by the pages, by notebooks and by tests alike."""
