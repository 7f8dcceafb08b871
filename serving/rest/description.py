"""What the OpenAPI description says about each path, with requests that a person can copy."""

from __future__ import annotations

from typing import Any, Final

from models.signature_names import SERVING_DEFAULT

TITLE: Final = "movierec over REST"
SUMMARY: Final = (
    'The JSON of TensorFlow Serving\'s REST API, version v1. Errors are {"error": TEXT} with the '
    "status codes of TensorFlow Serving."
)

_ERRORS: Final = {
    400: "The request is malformed, or names no signature, input or value that the model takes.",
    404: "The model or the version is unknown.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    429: "The server has too many requests, or an answer would be too large.",
    503: "The model server does not answer.",
    504: "The model did not answer in time.",
}
_VALUE: Final = {"description": "A value, nested lists, or an object of them by name."}


def _error(text: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    }
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _answer(text: str, *keys: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": dict.fromkeys(keys, _VALUE)}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _described(summary: str, text: str, answer: dict[str, Any], *codes: int) -> dict[str, Any]:
    return {
        "summary": summary,
        "description": text,
        "responses": {200: answer, **{code: _error(_ERRORS[code]) for code in codes}},
    }


STATUS: Final[dict[str, Any]] = _described(
    "The states of the versions",
    "All versions that the server knows, or the one that the path names.",
    _answer("Versions with their states.", "model_version_status"),
    *(400, 404, 429, 503, 504),
)
METADATA: Final[dict[str, Any]] = _described(
    "The signatures of a version",
    "Names, dtypes and shapes of the inputs and outputs of each signature.",
    _answer("Signatures of the version.", "model_spec", "metadata"),
    *(400, 404, 429, 503, 504),
)
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "signature_name": {
                        "type": "string",
                        "default": SERVING_DEFAULT,
                        "description": "Signature to call.",
                    },
                    "inputs": {
                        "description": "Input tensors by column: an object with each input as "
                        "nested lists. The answer has outputs."
                    },
                    "instances": {
                        "type": "array",
                        "description": "Input tensors by row: a list of objects. The answer has "
                        "predictions. Signatures with a scalar k take columns only.",
                    },
                },
            },
            "examples": {
                "recommend": {
                    "summary": "Ten recommendations for a user",
                    "value": {
                        "signature_name": "recommend",
                        "inputs": {"user_id": ["42"], "k": 10},
                    },
                },
                "predict": {
                    "summary": "Predicted ratings of pairs, by row",
                    "value": {
                        "signature_name": "predict",
                        "instances": [
                            {"user_id": "42", "movie_id": "50"},
                            {"user_id": "42", "movie_id": "181"},
                        ],
                    },
                },
                "similar": {
                    "summary": "Movies like one",
                    "value": {"signature_name": "similar", "inputs": {"movie_id": ["50"], "k": 5}},
                },
                "recommend_for_profile": {
                    "summary": "Recommendations for an age, a gender and an occupation",
                    "value": {
                        "signature_name": "recommend_for_profile",
                        "inputs": {
                            "user_age": [34],
                            "user_gender": ["F"],
                            "user_occupation": ["writer"],
                            "k": 10,
                        },
                    },
                },
                "recommend_for_ratings": {
                    "summary": "Recommendations for somebody new",
                    "value": {
                        "signature_name": "recommend_for_ratings",
                        "inputs": {"movie_id": [["50", "181"]], "rating": [[5, 4]], "k": 10},
                    },
                },
            },
        }
    },
}
PREDICT: Final[dict[str, Any]] = {
    **_described(
        "The answer of a signature",
        "Either inputs, by column, or instances, by row. Bytes that are not UTF-8 are given as "
        '{"b64": BASE64}. NaN, Infinity and -Infinity are written as these tokens.',
        _answer("Outputs by column, or predictions by row.", "outputs", "predictions"),
        *_ERRORS,
    ),
    "openapi_extra": {"requestBody": _BODY},
}
NOT_OFFERED: Final[dict[str, Any]] = {
    "summary": "Not offered",
    "description": "The models have no signatures for classification or regression. Use predict.",
    "responses": {501: _error("Always.")},
    "status_code": 501,
}
