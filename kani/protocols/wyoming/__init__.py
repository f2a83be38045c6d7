"""Wyoming, the speech protocol of Home Assistant: speech and recognition on one TCP port.

``framing`` and ``events`` are the wire format; ``connection`` reads a client's events in their order, which
``speaking`` and ``recognition`` answer; ``info`` describes the server, ``discovery`` announces it.
"""
