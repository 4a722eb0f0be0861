"""An answer that may leave in one call."""

from __future__ import annotations

from chute.engine.service import Service
from chute.plan.plan import Plan
from chute.transfer.carrier import confirm_residency
from chute.transfer.sendfile import send_with_head
from chute.transfer.sending import Send


def send_at_once(fd: int, send: Send, plan: Plan, service: Service) -> int:
    """Try to send all of `plan`; what does not go through is left to an outbox, errors too.

    Args:
        fd: the socket's descriptor, borrowed.
        send: `socket.send` of the same socket.
        plan: has no rest but one span of a file.
        service: whose limits hold.

    Returns:
        Bytes that the kernel has accepted.
    """
    span = plan.span
    if span is None:
        try:
            return send(plan.payload, 0)
        except OSError:
            return 0
    now_s = service.clock.now_s
    if span.count > service.limits.chunk_bytes_max or (
        now_s >= span.resident_until_s and not confirm_residency(span, now_s)
    ):
        return 0
    return send_with_head(fd, send, plan.payload, span.file.fd, span.offset, span.count)
