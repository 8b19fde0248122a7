"""The parts that all routes of the api share."""
