"""One module for each page of the site; none imports another."""
