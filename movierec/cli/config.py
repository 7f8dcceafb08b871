"""`movierec config`: the configuration that a run would have."""

from __future__ import annotations

from movierec.cli import options


def config(
    config: options.ConfigFile = None,
    overrides: options.Overrides = None,
    as_json: options.AsJson = False,
) -> None:
    """Print every configuration key with the value that a run would use, as TOML.

    Example: movierec config --set model.name=svdpp > svdpp.toml
    """
    from pipeline.config.tree import load_config, to_toml

    effective = load_config(config, overrides or ())
    print(effective.model_dump_json(indent=2) if as_json else to_toml(effective).rstrip())
