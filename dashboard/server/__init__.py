"""The site as a web application: routes, sign-in, downloads, response headers."""
