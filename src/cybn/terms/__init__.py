"""What people say to cybn, and the words it answers with.

Names of layers (`registry`), options and their values (`signature`, `kinds`, `rules`,
`docstrings`), numbers in the environment, and the parts of error messages (`messages`).
"""
