"""Request bodies: read as they were sent, bounded, checked where the sender asks for it."""
