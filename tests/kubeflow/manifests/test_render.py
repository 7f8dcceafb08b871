import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

from kubeflow.manifests import render
from kubeflow.manifests.metadata import dns_label
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config
from tests.kubeflow.kserve_schema import INFERENCE_SERVICE, PREDICTOR_FIELDS

Document = dict[str, Any]
Documents = dict[str, Document]

VOLUME = "pvc://claim/a/movierec"
BUCKET = "gs://bucket/a/movierec"
S3 = "s3://bucket/a/movierec"
CHOICES = [("deployment", VOLUME), ("deployment", BUCKET), ("kserve", VOLUME), ("kserve", BUCKET),
           ("kserve", S3)]  # fmt: skip
# The oldest has the youngest field that is used (unhealthyPodEvictionPolicy) in good standing.
KUBERNETES = ["1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"]


def rendered(*overrides: str) -> list[Document]:
    chosen = [f"kubernetes.{override}" for override in overrides]
    return list(yaml.safe_load_all(render.render(load_config(None, chosen))))


def by_name(*overrides: str) -> Documents:
    """Every object by its kind; a second Service by the end of its name."""
    found: Documents = {}
    for document in rendered(*overrides):
        headless = document["metadata"]["name"].endswith("-headless")
        key = document["kind"] + ("-headless" if headless else "")
        assert key not in found
        found[key] = document
    return found


def pod_of(documents: Documents) -> Document:
    """The pod's spec, by whichever object it is made."""
    if "Deployment" in documents:
        pod: Document = documents["Deployment"]["spec"]["template"]["spec"]
        return pod
    predictor = documents["InferenceService"]["spec"]["predictor"]
    return {key: value for key, value in predictor.items() if key not in PREDICTOR_FIELDS}


@pytest.fixture(params=CHOICES, ids=lambda choice: f"{choice[0]}-{choice[1].partition(':')[0]}")
def documents(request: pytest.FixtureRequest) -> Documents:
    kind, location = request.param
    return by_name(f"kind={kind}", f"model_location={location}")


@pytest.fixture
def container(documents: Documents) -> Document:
    (only,) = pod_of(documents)["containers"]
    assert isinstance(only, dict)
    return only


def flags(container: Document) -> dict[str, str]:
    pairs = [argument.removeprefix("--").partition("=") for argument in container["args"]]
    assert len({name for name, _, _ in pairs}) == len(pairs)
    return {name: value for name, _, value in pairs}


def test_the_newest_schemas_are_the_ones_used() -> None:
    assert kubernetes_validate.latest_version() == f"{KUBERNETES[-1]}.0"


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize(("kind", "location"), CHOICES)
def test_every_object_is_what_kubernetes_expects(kind: str, location: str, version: str) -> None:
    for document in rendered(
        f"kind={kind}",
        f"model_location={location}",
        "model_version=7",
        'allowed_namespaces=["shop"]',
        'allowed_pods={app="storefront"}',
        'metrics_namespaces=["monitoring"]',
    ):
        if document["kind"] == "InferenceService":
            jsonschema.validate(document, INFERENCE_SERVICE)
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "pod"},
                "spec": pod_of({"InferenceService": document}),
            }
            assert kubernetes_validate.validate(pod, version, strict=True) == version
        else:
            assert kubernetes_validate.validate(document, version, strict=True) == version


def test_the_schemas_refuse_what_is_misspelt() -> None:
    documents = by_name(f"model_location={VOLUME}")
    pod_of(documents)["automountServiceAccountTokens"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(documents["Deployment"], KUBERNETES[-1], strict=True)


def test_the_objects_of_each_kind() -> None:
    shared = {"ServiceAccount", "ConfigMap", "NetworkPolicy", "Service-headless",
              "PodDisruptionBudget"}  # fmt: skip
    assert set(by_name(f"model_location={VOLUME}")) == shared | {
        "Service", "Deployment", "HorizontalPodAutoscaler"
    }  # fmt: skip
    # KServe makes the Service, the Deployment and the autoscaler.
    assert set(by_name("kind=kserve", f"model_location={VOLUME}")) == shared | {"InferenceService"}


def test_all_are_in_the_namespace_and_bear_the_recommended_labels() -> None:
    for document in rendered(f"model_location={VOLUME}", "namespace=shop"):
        assert document["metadata"]["namespace"] == "shop"
        labels = document["metadata"]["labels"]
        assert {key.partition("/")[0] for key in labels} == {"app.kubernetes.io"}
        assert labels["app.kubernetes.io/instance"] == "movierec"


def test_the_pod_has_no_privileges(documents: Documents, container: Document) -> None:
    pod = pod_of(documents)
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == 10001
    assert pod["securityContext"]["fsGroup"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_only_a_small_scratch_folder_can_be_written(
    documents: Documents, container: Document
) -> None:
    writable = [m["name"] for m in container["volumeMounts"] if not m.get("readOnly")]
    (volume,) = [v for v in pod_of(documents)["volumes"] if v["name"] in writable]
    assert volume["emptyDir"] == {"sizeLimit": "64Mi"}
    # Nothing of the node.
    sources = {key for volume in pod_of(documents)["volumes"] for key in volume} - {"name"}
    assert sources <= {"configMap", "emptyDir", "persistentVolumeClaim"}


def test_its_own_account_has_no_token(documents: Documents) -> None:
    account = documents["ServiceAccount"]
    assert account["automountServiceAccountToken"] is False
    assert pod_of(documents)["serviceAccountName"] == account["metadata"]["name"]


def test_an_account_that_exists_is_not_rendered() -> None:
    documents = by_name(f"model_location={BUCKET}", "service_account=bucket-reader")
    assert "ServiceAccount" not in documents
    assert pod_of(documents)["serviceAccountName"] == "bucket-reader"


def test_resources_are_those_of_the_configuration() -> None:
    documents = by_name(
        f"model_location={VOLUME}", "cpu_request=250m", "cpu_limit=2.5", "memory_request=512Mi",
        "memory_limit=3Gi",
    )  # fmt: skip
    (container,) = pod_of(documents)["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "256Mi"},
        "limits": {"cpu": "2.5", "memory": "3Gi", "ephemeral-storage": "256Mi"},
    }
    assert flags(container)["tensorflow_session_parallelism"] == "3"


def test_probes_ask_what_fails_until_a_version_serves(container: Document) -> None:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe in ("startupProbe", "readinessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] == "/v1/models/movierec/metadata"
        assert ports[asked["port"]] == 8501
    assert ports[container["livenessProbe"]["tcpSocket"]["port"]] == 8500
    started = container["startupProbe"]
    assert started["failureThreshold"] * started["periodSeconds"] == 600


def test_the_server_may_take_as_long_to_start_as_configured() -> None:
    documents = by_name(f"model_location={VOLUME}", "startup_seconds=1001")
    probe = pod_of(documents)["containers"][0]["startupProbe"]
    assert probe["failureThreshold"] == math.ceil(1001 / probe["periodSeconds"])
    assert documents["Deployment"]["spec"]["progressDeadlineSeconds"] > 1001


def test_a_pod_that_is_to_end_goes_on_answering_first(
    documents: Documents, container: Document
) -> None:
    program, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "/bin/sleep"
    assert int(seconds) == 40
    # As process 1 of its container the server ignores SIGTERM, and every further second is lost.
    assert "shareProcessNamespace" not in pod_of(documents)
    assert pod_of(documents)["terminationGracePeriodSeconds"] == 40 + 1
    # A client has to leave before the pod does.
    arguments = dict(
        pair.split("=") for pair in flags(container)["grpc_channel_arguments"].split(",")
    )
    assert int(arguments["grpc.max_connection_age_ms"]) < 40_000


def test_ports_are_those_that_the_server_is_told(documents: Documents, container: Document) -> None:
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert named == {"grpc": int(flags(container)["port"]),
                     "http": int(flags(container)["rest_api_port"])}  # fmt: skip
    assert named == {"grpc": 8500, "http": 8501}
    for kind in ("Service", "Service-headless"):
        if kind in documents:
            ports = documents[kind]["spec"]["ports"]
            assert {port["name"]: port["port"] for port in ports} == named
            assert all(port["targetPort"] == port["name"] for port in ports)


def test_selectors_find_the_pods() -> None:
    documents = by_name(f"model_location={VOLUME}")
    template = documents["Deployment"]["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    selectors = [
        documents["Deployment"]["spec"]["selector"]["matchLabels"],
        documents["Service"]["spec"]["selector"],
        documents["Service-headless"]["spec"]["selector"],
        documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        documents["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(s["labelSelector"]["matchLabels"] for s in template["spec"]["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selector.items() <= labels
        # Of this model only.
        assert selector["app.kubernetes.io/instance"] == "movierec"


def test_selectors_find_the_pods_that_kserve_makes() -> None:
    documents = by_name("kind=kserve", f"model_location={VOLUME}")
    name = documents["InferenceService"]["metadata"]["name"]
    # KServe gives its pods this label.
    expected = {"serving.kserve.io/inferenceservice": name}
    assert documents["Service-headless"]["spec"]["selector"] == expected
    assert documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == expected
    assert documents["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == expected
    for constraint in pod_of(documents)["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"] == expected


def test_the_headless_service_has_no_address_of_its_own(documents: Documents) -> None:
    assert documents["Service-headless"]["spec"]["clusterIP"] == "None"
    # An address of a server that is not ready yet would be an error for a client.
    assert "publishNotReadyAddresses" not in documents["Service-headless"]["spec"]


def served_model(documents: Documents) -> Any:
    """The models.config, as the server reads it."""
    text = documents["ConfigMap"]["data"]["models.config"]
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    return model


def test_the_server_is_told_of_files_that_are_there(
    documents: Documents, container: Document
) -> None:
    volumes = {volume["name"]: volume for volume in pod_of(documents)["volumes"]}
    mounts = {m["mountPath"]: volumes[m["name"]] for m in container["volumeMounts"]}
    for flag in ("model_config_file", "monitoring_config_file"):
        folder, _, file = flags(container)[flag].rpartition("/")
        assert mounts[folder]["configMap"]["name"] == documents["ConfigMap"]["metadata"]["name"]
        assert file in documents["ConfigMap"]["data"]


@pytest.mark.parametrize("kind", ["deployment", "kserve"])
def test_the_claim_is_mounted_where_the_server_looks(kind: str) -> None:
    documents = by_name(f"kind={kind}", f"model_location={VOLUME}")
    (volume,) = [v for v in pod_of(documents)["volumes"] if "persistentVolumeClaim" in v]
    assert volume["persistentVolumeClaim"] == {"claimName": "claim", "readOnly": True}
    (container,) = pod_of(documents)["containers"]
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == volume["name"]]
    assert mount["readOnly"] is True
    model = served_model(documents)
    assert model.name == "movierec"
    assert model.model_platform == "tensorflow"
    assert model.base_path == f"{mount['mountPath']}/a/movierec"
    assert model.model_version_policy.latest.num_versions == 1


def test_the_root_of_a_claim_can_be_the_folder() -> None:
    documents = by_name("model_location=pvc://claim/")
    (container,) = pod_of(documents)["containers"]
    assert served_model(documents).base_path in {m["mountPath"] for m in container["volumeMounts"]}


def test_a_bucket_is_read_by_the_server_itself() -> None:
    documents = by_name(f"model_location={BUCKET}")
    assert served_model(documents).base_path == BUCKET
    assert not [v for v in pod_of(documents)["volumes"] if "persistentVolumeClaim" in v]


@pytest.mark.parametrize("location", [BUCKET, S3])
def test_kserve_brings_the_model_to_where_the_server_looks(location: str) -> None:
    documents = by_name("kind=kserve", f"model_location={location}")
    (container,) = pod_of(documents)["containers"]
    assert container["env"] == [{"name": "STORAGE_URI", "value": location}]
    assert served_model(documents).base_path == "/mnt/models"


def test_kserve_scales_and_needs_no_knative() -> None:
    documents = by_name("kind=kserve", f"model_location={VOLUME}")
    predictor = documents["InferenceService"]["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 6)
    assert (predictor["scaleMetric"], predictor["scaleTarget"]) == ("cpu", 70)
    annotations = documents["InferenceService"]["metadata"]["annotations"]
    # Knative's pods have one port and no autoscaler of this kind.
    assert annotations["serving.kserve.io/deploymentMode"] == "RawDeployment"
    assert annotations["serving.kserve.io/autoscalerClass"] == "hpa"


@pytest.mark.parametrize("mode", ["RawDeployment", "Standard"])
def test_the_mode_has_the_name_that_the_release_of_kserve_knows(mode: str) -> None:
    documents = by_name("kind=kserve", f"model_location={VOLUME}", f"kserve_deployment_mode={mode}")
    annotations = documents["InferenceService"]["metadata"]["annotations"]
    assert annotations["serving.kserve.io/deploymentMode"] == mode


def test_the_mode_with_knative_is_refused() -> None:
    with pytest.raises(UserError, match="kserve_deployment_mode"):
        by_name("kind=kserve", f"model_location={VOLUME}", "kserve_deployment_mode=Knative")


def test_one_version_can_be_pinned_and_changes_the_files_name() -> None:
    newest = by_name(f"model_location={VOLUME}")
    pinned = by_name(f"model_location={VOLUME}", "model_version=1795376823")
    policy = served_model(pinned).model_version_policy
    assert list(policy.specific.versions) == [1795376823]
    assert not policy.HasField("latest")
    # Without another name, pods that run would never see it, and an undone roll-out would.
    assert newest["ConfigMap"]["metadata"]["name"] != pinned["ConfigMap"]["metadata"]["name"]
    assert newest["ConfigMap"]["immutable"] is True
    for kind in set(newest) - {"ConfigMap", "Deployment"}:
        assert newest[kind] == pinned[kind]


def monitoring_config() -> Any:
    """An empty MonitoringConfig of TensorFlow Serving, which its Python package leaves out."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="monitoring.proto", syntax="proto3")
    prometheus = file.message_type.add(name="PrometheusConfig")
    for number, (name, kind) in enumerate(
        [("enable", field.TYPE_BOOL), ("path", field.TYPE_STRING)], start=1
    ):
        prometheus.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
    file.message_type.add(name="MonitoringConfig").field.add(
        name="prometheus_config",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".PrometheusConfig",
        label=field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("MonitoringConfig"))()


def test_metrics_are_where_the_annotations_say(documents: Documents) -> None:
    text = documents["ConfigMap"]["data"]["monitoring.config"]
    monitoring = text_format.Parse(text, monitoring_config())
    assert monitoring.prometheus_config.enable
    owner = documents.get("InferenceService") or documents["Deployment"]["spec"]["template"]
    annotations = owner["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/path"] == monitoring.prometheus_config.path == "/metrics"
    assert annotations["prometheus.io/port"] == "8501"


def test_polling_is_as_configured() -> None:
    documents = by_name(f"model_location={BUCKET}", "poll_seconds=120")
    told = flags(pod_of(documents)["containers"][0])
    assert told["file_system_poll_wait_seconds"] == "120"


def test_the_server_gets_threads_and_time_and_has_no_profiler(container: Document) -> None:
    told = flags(container)
    # A version that used up its attempts is never tried again, and copying one may take a while.
    window = int(told["max_num_load_retries"]) * int(told["load_retry_interval_micros"])
    assert window >= 30 * 60 * 10**6
    # A version that is tried again must not hold up the next one.
    assert int(told["num_load_threads"]) >= 2
    # By default four for each core of the node.
    assert int(told["grpc_max_threads"]) == 128
    assert told["enable_profiler"] == "false"


def test_the_autoscaler_alone_says_how_many() -> None:
    documents = by_name(
        f"model_location={VOLUME}", "min_replicas=3", "max_replicas=9", "target_cpu_percent=55"
    )
    deployment = documents["Deployment"]
    assert "replicas" not in deployment["spec"]
    scaler = documents["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": deployment["kind"],
        "name": deployment["metadata"]["name"],
    }
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 9)
    (metric,) = scaler["metrics"]
    assert metric["resource"]["target"]["averageUtilization"] == 55


def test_a_roll_out_or_a_drain_leaves_enough_servers(documents: Documents) -> None:
    assert documents["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    if "Deployment" in documents:
        strategy = documents["Deployment"]["spec"]["strategy"]
    else:
        strategy = documents["InferenceService"]["spec"]["predictor"]["deploymentStrategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def ports_of(rule: Document) -> set[tuple[str, int]]:
    return {(port["protocol"], port["port"]) for port in rule["ports"]}


def test_by_default_pods_of_the_same_namespace_may_connect(documents: Documents) -> None:
    (rule,) = documents["NetworkPolicy"]["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {}}]
    assert ports_of(rule) == {("TCP", 8500), ("TCP", 8501)}
    assert set(documents["NetworkPolicy"]["spec"]["policyTypes"]) == {"Ingress", "Egress"}


def test_who_may_connect_can_be_chosen() -> None:
    documents = by_name(
        f"model_location={VOLUME}",
        'allowed_namespaces=["shop", "app"]',
        'allowed_pods={"app.kubernetes.io/name"="storefront"}',
        'metrics_namespaces=["monitoring"]',
    )
    clients, scrapers = documents["NetworkPolicy"]["spec"]["ingress"]
    # Both selectors in one peer: pods with the label in one of the namespaces, and no others.
    (peer,) = clients["from"]
    assert peer["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "storefront"}}
    (expression,) = peer["namespaceSelector"]["matchExpressions"]
    assert expression["key"] == "kubernetes.io/metadata.name"
    assert expression["operator"] == "In"
    assert set(expression["values"]) == {"app", "shop"}
    assert ports_of(clients) == {("TCP", 8500), ("TCP", 8501)}
    (peer,) = scrapers["from"]
    assert peer["namespaceSelector"]["matchExpressions"][0]["values"] == ["monitoring"]
    assert ports_of(scrapers) == {("TCP", 8501)}


@pytest.mark.parametrize("kind", ["deployment", "kserve"])
def test_a_server_of_a_claim_reaches_nothing(kind: str) -> None:
    policy = by_name(f"kind={kind}", f"model_location={VOLUME}")["NetworkPolicy"]
    assert policy["spec"]["egress"] == []


@pytest.mark.parametrize(("kind", "location"), [c for c in CHOICES if not c[1].startswith("pvc")])
def test_a_server_of_a_bucket_reaches_no_more_than_that(kind: str, location: str) -> None:
    policy = by_name(f"kind={kind}", f"model_location={location}")["NetworkPolicy"]
    anywhere = [rule for rule in policy["spec"]["egress"] if "to" not in rule]
    assert set.union(*map(ports_of, anywhere)) == {("UDP", 53), ("TCP", 53), ("TCP", 443)}
    addresses = {
        peer["ipBlock"]["cidr"] for rule in policy["spec"]["egress"] for peer in rule.get("to", [])
    }
    # Single link-local addresses, and those only where tokens come from there.
    assert all(re.fullmatch(r"169\.254\.169\.\d+/32", address) for address in addresses)
    assert bool(addresses) == location.startswith("gs")


@pytest.mark.parametrize(
    ("model_name", "name"),
    [
        ("movierec", "movierec"),
        ("Movie_Rec", "movie-rec"),
        ("a__b-", "a-b"),
        ("2024", "model-2024"),
        ("a_", "a"),
    ],
)
def test_names_are_those_of_services(model_name: str, name: str) -> None:
    assert dns_label(model_name) == name


@pytest.mark.parametrize("kind", ["deployment", "kserve"])
@pytest.mark.parametrize(
    "model_name", ["Movie_Rec", "9", "x" * 200, "a-" * 100, "x_" * 19 + "yy_z"]
)
def test_any_model_name_makes_valid_objects(kind: str, model_name: str) -> None:
    config = load_config(
        None,
        [f"serving.model_name={model_name}", f"kubernetes.kind={kind}",
         f"kubernetes.model_location={VOLUME}"],
    )  # fmt: skip
    documents = {
        d["kind"] + str(index): d
        for index, d in enumerate(yaml.safe_load_all(render.render(config)))
    }
    for document in documents.values():
        name = document["metadata"]["name"]
        # RFC 1035, which Services ask for; KServe puts "-predictor" and the namespace behind it.
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
        assert len(name) + len("-predictor") <= 63
        assert len(document["metadata"]["labels"]["app.kubernetes.io/instance"]) <= 63
    config_map = next(d for d in documents.values() if d["kind"] == "ConfigMap")
    assert served_model({"ConfigMap": config_map}).name == model_name


def test_long_names_stay_apart() -> None:
    assert dns_label("x" * 100 + "a") != dns_label("x" * 100 + "b")


def test_rendering_is_deterministic(tmp_path: Path) -> None:
    overrides = [f"kubernetes.model_location={BUCKET}", "kubernetes.allowed_pods={b='1',a='2'}"]
    text = render.render(load_config(None, overrides))
    overrides[1] = "kubernetes.allowed_pods={a='2',b='1'}"
    assert render.render(load_config(None, overrides)) == text
    # No anchors: tools that edit a single object would lose what they stand for.
    assert not re.search(r"[&*]id\d", text)


WRONG: list[tuple[list[str], list[str]]] = [
    (["model_location=/models"], ["kubernetes.model_location", "'/models'", "pvc://CLAIM/PATH"]),
    (["model_location=https://host/a"], ["gs://BUCKET/PATH"]),
    (["model_location=pvc://claim/../b"], ["without . and .."]),
    (["model_location=pvc://my_claim/a"], ["my_claim"]),
    (["model_location=gs://b/a\"\nx"], ["kubernetes.model_location"]),
    ([f"model_location={S3}"], [S3, "kserve"]),
    (["kind=helm"], ["kubernetes.kind", "'deployment' or 'kserve'"]),
    (["namespace=My Shop"], ["kubernetes.namespace"]),
    (["image=tensorflow/serving"], ["kubernetes.image"]),
    (["image=tensorflow/serving:latest"], ["kubernetes.image", "stays the same"]),
    (["min_replicas=0"], ["kubernetes.min_replicas"]),
    (["min_replicas=7"], ["min_replicas 7 is above max_replicas 6"]),
    (["cpu_request=3"], ["cpu_request 3 is above cpu_limit 2"]),
    (["memory_limit=1000M"], ["memory_request 1Gi is above memory_limit 1000M"]),
    (["cpu_limit=two"], ["kubernetes.cpu_limit", "'two'"]),
    (["cpu_request=0m"], ["kubernetes.cpu_request", "above zero"]),
    (["memory_request=1GB"], ["kubernetes.memory_request"]),
    (["user_id=0"], ["kubernetes.user_id"]),
    (["service_account=Reader"], ["kubernetes.service_account"]),
    (['allowed_namespaces=["A"]'], ["kubernetes.allowed_namespaces"]),
    (["allowed_namespaces=shop"], ["kubernetes.allowed_namespaces", "expected a list"]),
    (['allowed_pods={app="a b"}'], ["kubernetes.allowed_pods", "app=a b"]),
    (["model_version=0"], ["kubernetes.model_version"]),
    (["replicas=3"], ["kubernetes.replicas: no such key"]),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "parts"), WRONG, ids=lambda value: str(value[0])[:40])
def test_a_mistake_is_one_line(overrides: list[str], parts: list[str]) -> None:
    with pytest.raises(UserError) as error:
        load_config(None, [f"kubernetes.{override}" for override in overrides])
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("request_", "limit"),
    [("500m", "0.5"), ("1Gi", "1024Mi"), ("1000M", "1G"), ("1024", "1Ki"), ("2000k", "2M")],
)
def test_equal_amounts_are_equal_in_any_unit(request_: str, limit: str) -> None:
    resource = "cpu" if "m" in request_ else "memory"
    for asked, most in ((request_, limit), (limit, request_)):
        load_config(
            None,
            [f"kubernetes.{resource}_request='{asked}'", f"kubernetes.{resource}_limit='{most}'"],
        )


def test_without_a_location_there_is_nothing_to_render() -> None:
    with pytest.raises(UserError, match=r"kubernetes\.model_location: not set; expected pvc://"):
        render.render(load_config())


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deploy"
    assert render.write("a: 1\n", folder) == folder / "serving.yaml"
    render.write("b: 2\n", folder)
    assert (folder / "serving.yaml").read_text() == "b: 2\n"
    assert [entry.name for entry in folder.iterdir()] == ["serving.yaml"]


def refused(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render.write("a: 1\n", tmp_path)
    failing: Callable[..., None] = refused
    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(UserError, match=r"^-o .*: No space left on device$"):
        render.write("b: 2\n", tmp_path)
    assert (tmp_path / "serving.yaml").read_text() == "a: 1\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["serving.yaml"]


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "deploy").write_text("")
    with pytest.raises(UserError, match=r"^-o .*deploy: "):
        render.write("a: 1\n", tmp_path / "deploy")
