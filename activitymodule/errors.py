"""The project's own errors: each names what was wrong, where, and what to do, in one sentence.

The sentence is for people. Programs and tests match the class or its `code`. A command ends with the exit code of the
class and never shows a stack trace.
"""

from __future__ import annotations


class ActivityError(Exception):
    """An error that this project reports on purpose."""

    code = "error"
    exit_code = 1


class ConfigError(ActivityError):
    """A setting, option or file name that cannot be right."""

    code = "config"
    exit_code = 2


class NotFoundError(ConfigError):
    """A name that nothing has: a DAG, an asset, a run."""

    code = "not_found"


class NotAllowedError(ConfigError):
    """A name or password that a service refuses."""

    code = "not_allowed"


class ServiceUnavailableError(ActivityError):
    """A service (broker, store, registry, JDK) that does not answer."""

    code = "unavailable"
    exit_code = 3


class InterruptedFetchError(ServiceUnavailableError):
    """Fetching that was ended on request; the next run goes on where it was."""

    code = "interrupted_fetch"


class JavaEndedError(ActivityError):
    """Spark's Java process ended while it was needed: killed, or out of memory."""

    code = "java_ended"
    exit_code = 9


class SignInRefusedError(ServiceUnavailableError):
    """A service that answers, and refuses our user or password: waiting does not help."""

    code = "sign_in_refused"


class StoreUnavailableError(ServiceUnavailableError):
    """A store that cannot do now what it can do later: away, restarting, without disk space or connections."""

    code = "store_unavailable"


class ReadOnlyError(StoreUnavailableError):
    """A store that takes no writes for now: a standby, or the primary of before a failover."""

    code = "read_only"


class ConflictError(StoreUnavailableError):
    """A transaction that the store ended in favour of another one (deadlock, serialization failure, lock timeout)."""

    code = "conflict"


class StoreError(ActivityError):
    """PostgreSQL answers and refuses, for a reason that waiting does not change."""

    code = "store"
    exit_code = 8


class TimedOutError(StoreError):
    """A statement that the store cancelled because it took too long. It is not run again."""

    code = "timed_out"
    exit_code = 3


class SchemaError(StoreError):
    """A store whose tables are older or newer than this version of the project."""

    code = "schema"
    exit_code = 3


class BrokerError(ActivityError):
    """Kafka answers and refuses, for a reason that waiting does not change."""

    code = "broker"
    exit_code = 7


class BrokerAuthenticationError(BrokerError):
    """Kafka refuses the user, the password, the mechanism or the certificate."""

    code = "broker_authentication"


class BrokerAuthorizationError(BrokerError):
    """Kafka does not allow this user what was asked."""

    code = "broker_authorization"


class NoTopicError(BrokerError):
    """Kafka has no topic of that name."""

    code = "no_topic"


class TopicRefusedError(BrokerError):
    """Kafka refuses a topic's name, or what it was asked to be."""

    code = "topic_refused"


class MessageTooLargeError(BrokerError):
    """A message larger than the topic, or a client, allows."""

    code = "message_too_large"


class CodecError(BrokerError):
    """Messages compressed by a codec that one side does not have."""

    code = "codec"


class CorruptMessageError(BrokerError):
    """Messages that Kafka or its client holds to be damaged."""

    code = "corrupt_message"


class BrokerVersionError(BrokerError):
    """A broker that does not know a request of this client."""

    code = "broker_version"


class DataError(ActivityError):
    """Input data that cannot be used."""

    code = "data"
    exit_code = 4


class FileChangedError(DataError):
    """A file that changed on its server while it was fetched; it must be read from the start again."""

    code = "file_changed"


class NoRangesError(DataError):
    """A server that sends a file as a whole only, or another part than it was asked for."""

    code = "no_ranges"


class NotEnoughDataError(DataError):
    """Too few people, activities, windows or labels."""

    code = "not_enough_data"


class RefusedError(ActivityError):
    """A request that is understood and would do harm: a second scorer, unread messages deleted."""

    code = "refused"
    exit_code = 5


class QuotaError(RefusedError):
    """A quota of a cloud, or a limit of costs, that the request would exceed."""

    code = "quota"


class AlreadyThereError(RefusedError):
    """A name in a cloud that what was to be made has already."""

    code = "already_there"


class ReleaseBlockedError(RefusedError):
    """A model version that fails a condition of its release, and no reason was given to release it all the same."""

    code = "release_blocked"


class LockedError(RefusedError):
    """Another process holds the lock: a second scorer of a topic, a second retraining."""

    code = "locked"


class DataLossError(RefusedError):
    """Kafka has deleted messages before they were scored."""

    code = "data_loss"


class TopicRecreatedError(RefusedError):
    """The topic is not the one that was read: it was deleted and created again, or this is another broker."""

    code = "topic_recreated"


class AlreadyAnsweredError(RefusedError):
    """The annotator has already answered this queue item."""

    code = "already_answered"


class ItemClosedError(RefusedError):
    """The queue item is closed: others answered it, or it expired."""

    code = "item_closed"


class ItemHeldError(RefusedError):
    """The annotator has no lease of the queue item, or it has expired."""

    code = "item_held"


class AuditItemError(RefusedError):
    """Several windows at once, one of them of the audit share, whose windows are labelled one by one."""

    code = "audit_item"


class AlreadyDecidedError(RefusedError):
    """Another reviewer has decided about the window since it was shown."""

    code = "already_decided"


class AlreadyUndoneError(RefusedError):
    """The span was undone before."""

    code = "already_undone"


class WornByOtherError(RefusedError):
    """A watch that somebody else wears at that time."""

    code = "worn_by_other"


class WithdrawnError(RefusedError):
    """Nothing new of this participant may be taken: they have withdrawn."""

    code = "withdrawn"


class ErasureUnfinishedError(RefusedError):
    """Something of a person is left that an erasure does not remove by itself."""

    code = "erasure_unfinished"


class TokenExpiredError(RefusedError):
    """The token of a request has expired."""

    code = "token_expired"


class ModelError(ActivityError):
    """A model that is missing, does not load or does not fit."""

    code = "model"
    exit_code = 6


class ModelMisfitError(ModelError):
    """A model of other features, windows or labels than this code or the settings have."""

    code = "model_misfit"


class ModelNotTrustedError(ModelError):
    """A model file that holds a type which is not trusted."""

    code = "model_not_trusted"


class ModelTooLargeError(ModelError):
    """A model that is larger than `models.max_megabytes`."""

    code = "model_too_large"


class ModelNotConvertibleError(ModelError):
    """A model of a family that has no graph in ONNX."""

    code = "model_not_convertible"


class ModelRefusedError(ModelError):
    """A version that failed its check, or whose files are not those that were promoted; it must not be loaded."""

    code = "model_refused"


class JobFailedError(ActivityError):
    """A job in a cloud that failed or was cancelled."""

    code = "job_failed"
    exit_code = 10


LASTING = (BrokerError, ConfigError, DataError, JobFailedError, ModelError, SchemaError, TimedOutError)
"""Errors that waiting does not mend: what ended with one is not tried again by itself."""
