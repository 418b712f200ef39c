"""The HTTP API: what `catalens serve` runs."""
