"""deepres."""
