"""The part of the gate that looks beyond one week: at the last blessed model, and at the best."""
