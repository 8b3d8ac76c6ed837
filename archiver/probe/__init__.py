"""What bytes are: whole or cut, decodable or not, how large, how long. No name is trusted."""

from archiver.probe.prober import MediaProber

__all__ = ["MediaProber"]
