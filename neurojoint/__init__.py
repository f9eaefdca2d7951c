"""neurojoint: a neuroscience laboratory's data, from ALF files to tables, ONE and the training dashboard."""
