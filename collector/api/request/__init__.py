"""Reading a request and paging an answer."""
