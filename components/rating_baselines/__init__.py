"""How far the simplest predictions get on the holdout: what a model has to beat."""
