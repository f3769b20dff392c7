"""Writers listen to a check's events and say them: to people as text, to machines as JSON."""
