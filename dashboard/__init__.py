"""The behaviour site: pages over the analysis tables, and figures that are pure functions of rows."""
