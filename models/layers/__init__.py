"""Building blocks that the models of `models.zoo` share."""
