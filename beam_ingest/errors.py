"""The errors this library raises.

Library code raises these and never exits; ``beam_ingest.cli`` turns them into one line on
stderr and an exit status. Every message is one line that says where, what was expected, what was
found, and what to do.
"""

from __future__ import annotations

from beam_ingest.redact import redacted


class BeamIngestError(Exception):
    """Base of every error raised on purpose; ``exit_status`` is what the CLI exits with.

    Passwords and tokens of URLs are taken out of its message.
    """

    exit_status = 1

    def __init__(self, *args: object) -> None:
        super().__init__(*(redacted(each) if isinstance(each, str) else each for each in args))


class ConfigError(BeamIngestError):
    """The dataset file, an option or an argument is wrong; nothing was started."""

    exit_status = 2


class FileError(BeamIngestError):
    """A file exists but could not be read or written.

    Args:
      message: one line that names the file.
      reason: the cause alone, as the system or the server gave it; by default the whole message.

    Attributes:
      reason: the cause, without the name of the file.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        # Both go to Exception.args, so that the error survives pickling between workers.
        super().__init__(message, message if reason is None else reason)
        self.reason: str = self.args[1]

    def __str__(self) -> str:
        return str(self.args[0])


class StoreError(BeamIngestError):
    """The store cannot be opened, read or written (full disk, read-only, not a graph)."""


class NodeNotFoundError(BeamIngestError):
    """The graph, or the cache, does not have a node that was asked for."""


class GraphExistsError(StoreError):
    """The graph exists already and neither ``--resume`` nor ``--overwrite`` was asked for."""


class EmptyInputError(BeamIngestError):
    """There is nothing to build a graph from."""


class InputChangedError(BeamIngestError):
    """A graph cannot be resumed: its input files are not what they were when it was begun."""


class SubmitError(BeamIngestError):
    """Dataflow, or the command that talks to it, does not accept a job or does not know it."""


class UnavailableError(SubmitError):
    """Dataflow does not answer now; it may in a minute."""


class RunError(BeamIngestError):
    """The runner, one of its workers or its engine failed; input and store are not the cause.

    Attributes:
      log: path of the file with their output, if there is one.
    """

    log: str | None = None


class StoppedError(BeamIngestError):
    """Ctrl-C, or a signal that does the same, ended a run."""

    exit_status = 130


class InputError(BeamIngestError):
    """An input file is damaged or contradicts the format, its neighbours or the grid.

    Attributes:
      file: path or URL of the file at fault.
      chunk: chunk coordinates as ``x_y_z``, at layer 2 unless the message says otherwise.
      expected: what the format asks for.
      found: what the file holds.
      advice: what to do about it.
      others: errors found besides, in other files of the same chunk.
    """

    def __init__(
        self, file: str, chunk: str, expected: str, found: str, advice: str = "write the file again"
    ) -> None:
        # All five go to Exception.args, so that the error survives pickling between workers.
        super().__init__(file, chunk, expected, found, advice)
        self.file = redacted(file)
        self.chunk = chunk
        self.expected = expected
        self.found = redacted(found)
        self.advice = redacted(advice)
        self.others: list[InputError] = []

    @classmethod
    def several(cls, errors: list[InputError]) -> InputError:
        """The first of `errors`, all of one chunk, with the others attached."""
        errors[0].others = errors[1:]
        return errors[0]

    def __str__(self) -> str:
        return f"{self.file}: chunk {self.chunk}: expected {self.expected}, found {self.found}; {self.advice}"


class ChunksFailedError(BeamIngestError):
    """Chunks of one layer could not be built; the job stopped before the next layer."""


class HopelessError(ChunksFailedError):
    """None of the first chunks could be built: the job stopped within a layer."""
