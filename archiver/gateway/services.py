"""The endpoints of a gateway that has everything: one line for each provider."""

from __future__ import annotations

from archiver.gateway.flux import FluxService
from archiver.gateway.kling import KlingService
from archiver.gateway.luma import LumaService
from archiver.gateway.midjourney import MidjourneyService
from archiver.gateway.minimax import MinimaxService
from archiver.gateway.pictures import PictureService
from archiver.gateway.replicate import ReplicateService
from archiver.gateway.routing import Service
from archiver.gateway.runway import RunwayService
from archiver.gateway.suno import SunoService
from archiver.gateway.udio import UdioService


def provider_services() -> tuple[Service, ...]:
    """Return the endpoints of all providers, each as most gateways offer them."""
    return (
        LumaService(),
        SunoService(),
        UdioService(),
        MidjourneyService(),
        FluxService(),
        RunwayService(),
        KlingService(),
        ReplicateService(),
        MinimaxService(),
        PictureService(),
    )
