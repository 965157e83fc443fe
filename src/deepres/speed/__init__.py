"""How fast networks train and test on this machine, against what it can do at its best."""
