"""The models, one a file; `models.registry` names them."""
