"""Why an item is, or is not, in an answer: heat maps of what matched, ranks, and where an item fell out."""
