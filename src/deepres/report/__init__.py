"""Pictures and tables, drawn from run folders alone."""
