"""What every route of the API rests on."""
