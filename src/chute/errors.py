"""Every error chute raises on purpose, in one tree.

    ChuteError
    ├── PeerError              the peer broke the protocol; `status_hint` is the answer it has earned
    ├── MisuseError            the calling program broke a contract of ours
    ├── TransferError          a body stopped part way; `sent` bytes had left before
    │   ├── PeerGone           the peer closed or reset the connection
    │   ├── FileShrank         the file is shorter than what was promised
    │   ├── SendTimeout        the peer took nothing for too long
    │   ├── NotSendable        this file, or to this socket: refused before the first byte
    │   ├── SourceFailed       what was carried came from a connection, and that broke down
    │   └── SourceEnded        it came from a connection, and that ended too early
    ├── FileError              a name could not be turned into an open regular file
    │   ├── FileMissing        nothing servable has that name
    │   ├── FileForbidden      the operating system refuses to let us read or write it
    │   ├── DescriptorsExhausted  no descriptor is left; trying again later may work
    │   ├── NameTaken          something has the name already, and may not be replaced
    │   ├── NameUnusable       no file can have that name here
    │   ├── FileTooLarge       the file system or a limit of the process allows no file of that size
    │   ├── InsufficientStorage  the disk is full, or a quota is used up
    │   ├── UploadBusy         another request is at this upload
    │   ├── UploadExpired      a FileMissing: the upload was abandoned for too long
    │   └── TooManyUnfinished  no more uploads may begin in this folder
    └── ConfigError            what the user asked for cannot be done; says what, where and what instead

Whose fault it was is the first thing a reader of a log wants to know, so the tree is split by owner and not by
place. Facts travel as attributes; the text is for people and may change.
"""

from __future__ import annotations


class ChuteError(Exception):
    """The root of every error that chute raises on purpose."""


class PeerError(ChuteError):
    """The peer sent something that HTTP forbids, or that exceeds a limit.

    Attributes:
        status_hint: the status code the peer should be answered with, for example 400 or 431.
    """

    def __init__(self, detail: str, *, status_hint: int = 400) -> None:
        super().__init__(detail)
        self.status_hint = status_hint


class MisuseError(ChuteError, ValueError):
    """The calling program broke a contract; the message names the contract."""


class TransferError(ChuteError):
    """A transfer ended before its last byte.

    Attributes:
        sent: bytes of the content the kernel had accepted before the error.
    """

    def __init__(self, detail: str, *, sent: int = 0) -> None:
        super().__init__(detail)
        self.sent = sent


class PeerGone(TransferError):
    """The peer closed or reset the connection (EPIPE, ECONNRESET and their kin)."""


class FileShrank(TransferError):
    """The file ended before the promised byte; the connection cannot be reused.

    Attributes:
        expected: bytes that were promised in total.
    """

    def __init__(self, *, sent: int, expected: int) -> None:
        super().__init__(f"truncated at {sent} of {expected}", sent=sent)
        self.expected = expected


class SendTimeout(TransferError):
    """The peer took nothing for as long as the caller was willing to wait."""


class NotSendable(TransferError):
    """The file is none that can be sent, or the socket none that it can be sent to; nothing was sent."""


class SourceFailed(TransferError):
    """The connection that bytes came from broke down; what came before was carried."""


class SourceEnded(TransferError):
    """The connection that bytes came from ended before the promised byte.

    Attributes:
        expected: bytes that were promised in total.
    """

    def __init__(self, *, sent: int, expected: int) -> None:
        super().__init__(f"the source ended at {sent} of {expected}", sent=sent)
        self.expected = expected


class FileError(ChuteError):
    """A name could not be turned into an open, regular file."""


class FileMissing(FileError):
    """Nothing that may be served has this name (ENOENT, ENOTDIR, ELOOP, a FIFO, a link out of the root...)."""


class FileForbidden(FileError):
    """The operating system refuses to let this process read it, or write it (EACCES, EPERM, EROFS)."""


class DescriptorsExhausted(FileError):
    """The process or the system is out of descriptors (EMFILE, ENFILE)."""


class NameTaken(FileError):
    """Something has the name already, and may not be replaced: a file that nobody allowed it for, a folder, a link."""


class NameUnusable(FileError):
    """No file can have that name here: it is too long, or its bytes are none that the file system stores."""


class FileTooLarge(FileError):
    """The file system, or a limit of this process, allows no file of that size (EFBIG)."""


class InsufficientStorage(FileError):
    """The disk is full, or a quota is used up: that of the file system (ENOSPC, EDQUOT), or one that was set here."""


class UploadBusy(FileError):
    """Another request is at this upload."""


class UploadExpired(FileMissing):
    """The upload was abandoned for too long; what had arrived is gone, or will be."""


class TooManyUnfinished(FileError):
    """No more uploads may begin in this folder before some are finished or removed."""


class ConfigError(ChuteError):
    """What the user asked for cannot be done.

    Attributes:
        hint: what to do instead, or an empty string.
    """

    def __init__(self, detail: str, *, hint: str = "") -> None:
        super().__init__(detail)
        self.hint = hint
