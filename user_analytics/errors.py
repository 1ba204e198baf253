"""Everything the pipeline raises on purpose. The message is for the person who runs it:
it names the file, row, server or setting at fault and says what to do.

Those that are `final` are verdicts: another try of the same stage ends alike, so Airflow makes none. The others
may be of a moment: a server that is away or refuses, something that another process did or has yet to do.

UserAnalyticsError            exit code 1: the data or the world is at fault
├── InputError                final: a source file or table cannot be taken
├── SourceError               Postgres refused or lacks something
├── Unreachable               a server did not answer in time
├── LakeError                 the object store refused or lacks something
│   ├── ManifestMissing       the date has no complete data yet
│   └── CorruptObject         an object differs from what its manifest says
├── WarehouseError            BigQuery refused or failed
│   ├── TableMissing          a table, view or dataset does not exist
│   ├── TableExists           a table that was to be created exists already
│   └── ConcurrentUpdate      another transaction or process was first; nothing was changed
├── AuditFailed               final: staging does not match the raw data; nothing was published
├── PublishRefused            final: publishing would be wrong; nothing was published
├── ModelError                final: a sentiment model cannot be trained or loaded
├── JarError                  a jar that Spark needs cannot be had as pinned
├── StageFailed               a stage of `run` ended without its result
├── StackError                the embedded stack does not start, is in use, has no room or broke
│   └── ServerDied            a server of it ended by itself
├── ClusterError              a part of the cluster cannot be built, started or reached
└── SettingsError             final; exit code 2: a setting is unknown, missing or malformed
"""


class UserAnalyticsError(Exception):
    """Base of all errors with a message for the person who runs the pipeline."""

    exit_code = 1
    final = False


class InputError(UserAnalyticsError):
    """A source file or source table cannot be taken as it is."""

    final = True


class SourceError(UserAnalyticsError):
    """Postgres refused an operation, or lacks what it is asked for."""


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


class TableMissing(WarehouseError):
    """A table, view or dataset does not exist."""


class TableExists(WarehouseError):
    """A table that was to be created exists already."""


class ConcurrentUpdate(WarehouseError):
    """Another transaction changed the same rows, or another process took the same job id; nothing was changed."""


class AuditFailed(UserAnalyticsError):
    """Staged rows do not match the raw manifest; the published tables were left as they were."""

    final = True


class PublishRefused(UserAnalyticsError):
    """Publishing would be wrong; the published tables were left as they were."""

    final = True


class ModelError(UserAnalyticsError):
    """A sentiment model cannot be trained, read or used."""

    final = True


class JarError(UserAnalyticsError):
    """A jar cannot be had as pinned."""


class StageFailed(UserAnalyticsError):
    """A stage of a run ended without its result."""


class StackError(UserAnalyticsError):
    """The embedded stack cannot be used: it does not start, is in use by another run, has no room, or broke."""


class ServerDied(StackError):
    """A server of the embedded stack ended by itself."""


class ClusterError(UserAnalyticsError):
    """A part of the cluster cannot be built, started or reached."""


class SettingsError(UserAnalyticsError):
    """A setting is unknown, missing or malformed."""

    exit_code = 2
    final = True
