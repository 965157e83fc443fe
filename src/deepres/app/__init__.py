"""A local page: drop a picture, choose a network, see what it sees and why. Needs Flask."""
