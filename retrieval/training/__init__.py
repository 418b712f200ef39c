"""Training of heads on cached tower features. Imported only by recipes; nothing here runs for a query."""
