"""An Evaluator whose baseline may be empty."""
