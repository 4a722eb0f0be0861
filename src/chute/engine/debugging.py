"""What answers tell about themselves when `--debug-headers` is given."""

from __future__ import annotations

from chute.exchange import Response
from chute.semantics.messages import RequestHead
from chute.transfer.carrier import method_for


def tell_method(response: Response, head: RequestHead) -> None:
    """Add how the content is carried to `response`: `Server-Timing: carry;desc="sendfile"` (W3C Server Timing).

    The field is written before the first byte is carried. So that it is never older than what is known of the file's
    device, such a response is not used again.
    """
    pieces = () if head.method == b"HEAD" else response.pieces
    response.validity = None
    response.fields.append((b"Server-Timing", b'carry;desc="%b"' % method_for(pieces)))
