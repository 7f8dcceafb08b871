"""The comparison of a run's ratings with those that the last blessed model was trained on."""
