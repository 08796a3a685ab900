"""How fast networks answer on this machine: `fast` beside its peers, in turns, and beside what the machine can do at most."""
