"""The pages for a browser: the landing page and the API page, from this machine alone."""
