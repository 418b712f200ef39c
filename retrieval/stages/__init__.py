"""What a query goes through once it is encoded: scope -> legs -> boosting -> selection -> hits."""
