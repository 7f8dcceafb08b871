"""`movierec datasets`: what a model can be trained on."""

from __future__ import annotations

from movierec.cli import options, output


def datasets(as_json: options.AsJson = False) -> None:
    """List the datasets that a model can be trained on.

    The configuration key data.dataset chooses one.
    """
    from components.movielens_example_gen.readers import EDITIONS

    if as_json:
        output.print_json(
            [
                {"name": name, "description": edition.description, "files": edition.files}
                for name, edition in EDITIONS.items()
            ]
        )
        return
    for name, edition in EDITIONS.items():
        print(f"{name:<10} {edition.description} ({', '.join(edition.files)})")
