"""The storing transaction: everything that a batch of events writes."""
