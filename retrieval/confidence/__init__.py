"""How sure a hit is: its score among the scores that queries get that mean nothing."""
