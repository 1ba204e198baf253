"""Everything the pipeline raises on purpose. The message is for the person who runs it:
it names the file, row, server or setting at fault and says what to do.

UserAnalyticsError            exit code 1: the data or the world is at fault
├── InputError                a source file or table cannot be taken
├── Unreachable               a server did not answer in time
├── LakeError                 the object store refused or lacks something
│   ├── ManifestMissing       the date has no complete data yet
│   └── CorruptObject         an object differs from what its manifest says
├── WarehouseError            BigQuery refused or failed
├── AuditFailed               staging does not match the raw data; nothing was published
├── PublishRefused            publishing would be wrong; nothing was published
├── ModelError                a sentiment model cannot be trained or loaded
├── StageFailed               a stage of `run` ended without its result
├── StackError                a part of the embedded stack cannot be started
├── ClusterError              a part of the cluster cannot be built, started or reached
└── SettingsError             exit code 2: a setting is unknown, missing or malformed
"""


class UserAnalyticsError(Exception):
    """Base of all errors with a message for the person who runs the pipeline."""

    exit_code = 1


class InputError(UserAnalyticsError):
    """A source file or source table cannot be taken as it is."""


class Unreachable(UserAnalyticsError):
    """A server did not answer within the configured time."""


class LakeError(UserAnalyticsError):
    """The object store refused an operation."""


class ManifestMissing(LakeError):
    """No manifest names data for the asked table and date."""


class CorruptObject(LakeError):
    """An object's size or SHA-256 differs from its manifest's."""


class WarehouseError(UserAnalyticsError):
    """BigQuery refused or failed an operation."""


class AuditFailed(UserAnalyticsError):
    """Staged rows do not match the raw manifest; the published tables were left as they were."""


class PublishRefused(UserAnalyticsError):
    """Publishing would be wrong; the published tables were left as they were."""


class ModelError(UserAnalyticsError):
    """A sentiment model cannot be trained, read or used."""


class StageFailed(UserAnalyticsError):
    """A stage of a run ended without its result."""


class StackError(UserAnalyticsError):
    """A part of the embedded stack cannot be started or is in use by another run."""


class ClusterError(UserAnalyticsError):
    """A part of the cluster cannot be built, started or reached."""


class SettingsError(UserAnalyticsError):
    """A setting is unknown, missing or malformed."""

    exit_code = 2
