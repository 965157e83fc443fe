"""Data: what the networks are trained and tested on."""
