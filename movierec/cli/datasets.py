"""`movierec datasets`: what a model can be trained on."""

from __future__ import annotations

from movierec.cli import options, output


def datasets(as_json: options.AsJson = False) -> None:
    """List the datasets that a model can be trained on.

    The configuration key data.dataset chooses one.
    """
    from components.movielens_example_gen.readers import EDITIONS
    from pipeline.datasets import DESCRIPTIONS

    if as_json:
        output.print_json(
            [
                {"name": name, "description": text, "files": EDITIONS[name].files}
                for name, text in DESCRIPTIONS.items()
            ]
        )
        return
    for name, text in DESCRIPTIONS.items():
        print(f"{name:<10} {text} ({', '.join(EDITIONS[name].files)})")
