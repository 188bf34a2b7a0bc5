"""The command `cybn`: list, describe, check, info, and a plugin to begin with."""
