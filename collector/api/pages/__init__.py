"""The pages for a browser: the landing page and the API page, without resources from other hosts."""
