"""From the query string of a list to a DataJoint restriction."""
