"""What KServe documents of an InferenceService, as a JSON schema: the fields that matter here.

Everything of the predictor that is not KServe's own is a pod's; Kubernetes' schema judges that.
"""

from typing import Any

# Of ComponentExtensionSpec in serving.kserve.io/v1beta1.
PREDICTOR_FIELDS: dict[str, Any] = {
    "minReplicas": {"type": "integer", "minimum": 0},
    "maxReplicas": {"type": "integer", "minimum": 1},
    "scaleTarget": {"type": "integer", "minimum": 1},
    # The two that the autoscaler of the mode without Knative knows.
    "scaleMetric": {"enum": ["cpu", "memory"]},
    # A Deployment's; for the mode without Knative.
    "deploymentStrategy": {
        "type": "object",
        "additionalProperties": False,
        "required": ["type"],
        "properties": {
            "type": {"enum": ["RollingUpdate", "Recreate"]},
            "rollingUpdate": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "maxSurge": {"type": ["integer", "string"]},
                    "maxUnavailable": {"type": ["integer", "string"]},
                },
            },
        },
    },
}

INFERENCE_SERVICE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "serving.kserve.io/v1beta1"},
        "kind": {"const": "InferenceService"},
        "metadata": {
            "type": "object",
            "required": ["name", "namespace"],
            "properties": {
                # Its webhook refuses others.
                "name": {"pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"},
                "annotations": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "properties": {
                        "serving.kserve.io/deploymentMode": {
                            "enum": ["RawDeployment", "Standard", "Serverless", "Knative"]
                        },
                        "serving.kserve.io/autoscalerClass": {
                            "enum": ["hpa", "keda", "external", "none"]
                        },
                    },
                },
            },
        },
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["predictor"],
            "properties": {
                "predictor": {
                    "type": "object",
                    "required": ["containers", *PREDICTOR_FIELDS],
                    "properties": {
                        **PREDICTOR_FIELDS,
                        "containers": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["name", "image"],
                                "properties": {"name": {"const": "kserve-container"}},
                            },
                        },
                    },
                },
            },
        },
    },
}
