"""What each command takes. Nothing that works is imported, so that --help answers at once."""
