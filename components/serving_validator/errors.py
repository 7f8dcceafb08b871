"""Why a model is not blessed."""

from serving.errors import ServingError


class UnservableModelError(ServingError):
    """A model in a server does not answer as it must; the message is the reason, in one line."""
