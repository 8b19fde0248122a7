"""Request bodies: read as they were sent, bounded, validated if the sender asks for it."""
