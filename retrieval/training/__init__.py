"""Training of heads on cached tower features, for the recipes and `catalens train`; nothing here runs for a query."""
