"""What processes exchange, and over what: links, the engines beneath them, how errors travel."""
