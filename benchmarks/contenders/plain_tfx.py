"""A plain TFX chain on MovieLens, as TFX's templates have it, with the nodes and slices of ours.

    python -m benchmarks.contenders.plain_tfx FOLDER WORKSPACE

FOLDER has one CSV file with the ratings, joined with their movies and users. The command prints the
seconds of each node as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time

_STARTED = time.perf_counter()

# Before TensorFlow: its recommenders need Keras 2.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tensorflow_recommenders as tfrs  # noqa: E402
import tensorflow_transform as tft  # noqa: E402
from tfx import v1 as tfx  # noqa: E402

# isort: split
import tensorflow_model_analysis as tfma  # noqa: E402
from tensorflow_model_analysis.proto import config_pb2  # noqa: E402
from tfx.orchestration.portable import launcher  # noqa: E402
from tfx_bsl.public import tfxio  # noqa: E402

_MODULE = "benchmarks.contenders.plain_tfx"
_BATCH = 8192
_EPOCHS = 20
_DIMENSION = 100
_LEARNING_RATE = 0.02
_L2 = 1e-4
_MAX_RMSE = 0.94
_EDGES = (0, 20, 50, 100, 200)
_ACTIVITIES = ("0", "1-20", "21-50", "51-100", "101-200", "201+")


def preprocessing_fn(inputs):  # type: ignore[no-untyped-def]
    """Returns vocabulary indices, and what the evaluation is sliced by."""
    users = tf.strings.as_string(inputs["user_id"])
    movies = tf.strings.as_string(inputs["movie_id"])
    counts = tft.vocabulary(users, store_frequency=True, vocab_filename="user_counts")

    def count(ids, path):  # type: ignore[no-untyped-def]
        lines = tf.lookup.TextFileInitializer(path, tf.string, 1, tf.int64, 0, delimiter=" ")
        table = tf.lookup.StaticHashTable(lines, 0)
        return table.lookup(ids), table.size()

    rated = tft.apply_vocabulary(users, counts, lookup_fn=count)
    activity = tf.searchsorted(tf.constant(_EDGES, tf.int64), tf.reshape(rated, [-1]))
    genres = inputs["movie_genres"]
    if isinstance(genres, tf.SparseTensor):
        shape = [genres.dense_shape[0], 1]
        genres = tf.sparse.to_dense(tf.SparseTensor(genres.indices, genres.values, shape), "")
    return {
        "user": tft.compute_and_apply_vocabulary(users, num_oov_buckets=1, vocab_filename="users"),
        "movie": tft.compute_and_apply_vocabulary(
            movies, num_oov_buckets=1, vocab_filename="movies"
        ),
        "user_activity": tf.reshape(tf.gather(tf.constant(_ACTIVITIES), activity), [-1, 1]),
        "movie_genre": tf.strings.regex_replace(genres, r"\|.*", ""),
        "rating": inputs["rating"],
    }


class _Factorisation(tfrs.Model):
    """The mean, two biases and the product of two embeddings."""

    def __init__(self, users: int, movies: int, mean: float) -> None:
        super().__init__()
        l2 = tf.keras.regularizers.L2(_L2)
        embedding = tf.keras.layers.Embedding
        self.mean = mean
        self.user_embedding = embedding(users, _DIMENSION, embeddings_regularizer=l2)
        self.movie_embedding = embedding(movies, _DIMENSION, embeddings_regularizer=l2)
        self.user_bias = embedding(users, 1, embeddings_initializer="zeros")
        self.movie_bias = embedding(movies, 1, embeddings_initializer="zeros")
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(),
            metrics=[tf.keras.metrics.RootMeanSquaredError()],
        )

    def call(self, features):  # type: ignore[no-untyped-def]
        user, movie = (tf.reshape(features[name], [-1]) for name in ("user", "movie"))
        product = self.user_embedding(user) * self.movie_embedding(movie)
        biases = self.user_bias(user) + self.movie_bias(movie)
        return self.mean + biases + tf.reduce_sum(product, axis=1, keepdims=True)

    def compute_loss(self, features, training=False):  # type: ignore[no-untyped-def]
        return self.task(labels=features["rating"], predictions=self(features))


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Trains with Keras and saves the model with the signatures of the templates."""
    transform = tft.TFTransformOutput(fn_args.transform_output)

    def dataset(files: list[str]) -> tf.data.Dataset:
        options = tfxio.TensorFlowDatasetOptions(batch_size=_BATCH, num_epochs=1, shuffle=False)
        schema = transform.transformed_metadata.schema
        rows = fn_args.data_accessor.tf_dataset_factory(files, options, schema)
        return rows.map(lambda row: {name: row[name] for name in ("user", "movie", "rating")})

    train, evaluation = (dataset(f).cache() for f in (fn_args.train_files, fn_args.eval_files))
    ratings = np.concatenate([row["rating"] for row in train.as_numpy_iterator()])
    users, movies = (transform.vocabulary_size_by_name(name) + 1 for name in ("users", "movies"))
    model = _Factorisation(users, movies, float(ratings.mean()))
    model.compile(optimizer=tf.keras.optimizers.Adam(_LEARNING_RATE))
    model.fit(train.shuffle(16, seed=1), validation_data=evaluation, epochs=_EPOCHS, verbose=2)
    model.transform_layer = transform.transform_features_layer()
    raw = transform.raw_feature_spec()
    one_example = [tf.TensorSpec([None], tf.string, name="examples")]

    @tf.function(input_signature=one_example)
    def serve(examples):  # type: ignore[no-untyped-def]
        known = {name: spec for name, spec in raw.items() if name != "rating"}
        return {"rating": model(model.transform_layer(tf.io.parse_example(examples, known)))}

    @tf.function(input_signature=one_example)
    def transform_features(examples):  # type: ignore[no-untyped-def]
        return model.transform_layer(tf.io.parse_example(examples, raw))

    signatures = {"serving_default": serve, "transform_features": transform_features}
    model.save(fn_args.serving_model_dir, save_format="tf", signatures=signatures)


def create_pipeline(data: str, workspace: str) -> tfx.dsl.Pipeline:
    """Returns the graph of TFX's taxi template, with the splits of ours."""
    proto = tfx.proto
    splits = [
        proto.SplitConfig.Split(name=name, hash_buckets=buckets)
        for name, buckets in (("train", 8), ("eval", 1), ("holdout", 1))
    ]
    example_gen = tfx.components.CsvExampleGen(
        input_base=data, output_config=proto.Output(split_config=proto.SplitConfig(splits=splits))
    )
    examples = example_gen.outputs["examples"]
    statistics_gen = tfx.components.StatisticsGen(examples=examples)
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = tfx.components.SchemaGen(statistics=statistics, infer_feature_shape=True)
    schema = schema_gen.outputs["schema"]
    transform = tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=f"{_MODULE}.preprocessing_fn",
        splits_config=proto.SplitsConfig(analyze=["train"], transform=["train", "eval", "holdout"]),
    )
    trainer = tfx.components.Trainer(
        run_fn=f"{_MODULE}.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        train_args=proto.TrainArgs(splits=["train"]),
        eval_args=proto.EvalArgs(splits=["eval"]),
    )
    model = trainer.outputs["model"]
    resolver = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("latest_blessed_model_resolver")
    evaluator = tfx.components.Evaluator(
        examples=examples,
        example_splits=["holdout"],
        model=model,
        baseline_model=resolver.outputs["model"],
        eval_config=_eval_config(),
    )
    pusher = tfx.components.Pusher(
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        push_destination=proto.PushDestination(
            filesystem=proto.PushDestination.Filesystem(
                base_directory=os.path.join(workspace, "serving")
            )
        ),
    )
    return tfx.dsl.Pipeline(
        pipeline_name="plain",
        pipeline_root=os.path.join(workspace, "artifacts"),
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            tfx.components.ExampleValidator(statistics=statistics, schema=schema),
            transform,
            trainer,
            resolver,
            evaluator,
            pusher,
        ],
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            os.path.join(workspace, "metadata.db")
        ),
        # By default, Beam first tries to download another runner for each pipeline.
        beam_pipeline_args=["--runner=FnApiRunner", "--direct_running_mode=in_memory"],
    )


def _eval_config() -> config_pb2.EvalConfig:
    threshold = config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(upper_bound={"value": _MAX_RMSE}),
        change_threshold=config_pb2.GenericChangeThreshold(
            direction=config_pb2.MetricDirection.LOWER_IS_BETTER, absolute={"value": 0.005}
        ),
    )
    # Without slices named, a threshold holds on each of them.
    whole = config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold
    )
    return config_pb2.EvalConfig(
        # As a plain SavedModel: TFMA cannot call the own metrics of a model of TFRS.
        model_specs=[
            config_pb2.ModelSpec(
                model_type="tf_generic",
                signature_name="serving_default",
                label_key="rating",
                prediction_key="rating",
                preprocessing_function_names=["transform_features"],
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            config_pb2.SlicingSpec(feature_keys=["movie_genre"]),
            config_pb2.SlicingSpec(feature_keys=["user_activity"]),
        ],
        metrics_specs=[
            config_pb2.MetricsSpec(
                metrics=[
                    config_pb2.MetricConfig(
                        class_name="RootMeanSquaredError", per_slice_thresholds=[whole]
                    ),
                    config_pb2.MetricConfig(class_name="MeanAbsoluteError"),
                    config_pb2.MetricConfig(class_name="Calibration"),
                ]
            )
        ],
    )


def main() -> None:
    """Runs the chain and prints its times."""
    data, workspace = map(os.path.abspath, sys.argv[1:3])
    seconds: dict[str, float] = {}
    launch = launcher.Launcher.launch

    def timed(self: launcher.Launcher) -> object:
        started = time.perf_counter()
        execution = launch(self)
        seconds[self._pipeline_node.node_info.id] = time.perf_counter() - started
        return execution

    launcher.Launcher.launch = timed
    pipeline = create_pipeline(data, workspace)
    seconds["start-up"] = time.perf_counter() - _STARTED
    tfx.orchestration.LocalDagRunner().run(pipeline)
    evaluations = os.path.join(workspace, "artifacts", "Evaluator", "evaluation")
    (execution,) = os.listdir(evaluations)
    metrics = tfma.load_eval_result(os.path.join(evaluations, execution)).get_metrics_for_slice()
    rmse = metrics["root_mean_squared_error"]["doubleValue"]
    # What Keras prints while it trains stands above.
    print("\n" + json.dumps({"seconds": seconds, "holdout_rmse": rmse}))


if __name__ == "__main__":
    main()
