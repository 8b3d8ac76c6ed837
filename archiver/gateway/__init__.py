"""A gateway to play with: real answers and real media on loopback, for the demo and the tests.

It imitates the services closely enough that nobody can tell: an API origin that knows tasks and
checks keys, an assets origin that serves files with ranges and signed links, and every fault that a
network or a provider can have. `Gateway` is the way in; `scenario` (imported apart, since it makes
media) has the demo's tasks.
"""

from archiver.gateway.dialect import Dialect, GatewayDialect, OfficialDialect
from archiver.gateway.exchange import HostedFile
from archiver.gateway.flux import FluxService, FluxTask
from archiver.gateway.gateway import API_KEY, USER_ID, USER_TOKEN, Gateway
from archiver.gateway.kling import KlingForm, KlingOutput, KlingService, KlingTask
from archiver.gateway.luma import BatchShape, ListOrder, LumaService
from archiver.gateway.lumatask import LumaForm, LumaTask
from archiver.gateway.midjourney import MidjourneyService, MidjourneyTask
from archiver.gateway.modes import Mode
from archiver.gateway.newapi import TaskListService
from archiver.gateway.records import RequestRecord
from archiver.gateway.replicate import ReplicateService, ReplicateTask
from archiver.gateway.runway import RunwayService, RunwayTask
from archiver.gateway.signing import Signer
from archiver.gateway.suno import (
    SunoClip,
    SunoLyricsTask,
    SunoService,
    SunoTask,
    SunoWrapperService,
)
from archiver.gateway.tasks import Absent, GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.gateway.udio import UdioForm, UdioService, UdioSong, UdioTask

__all__ = [
    "API_KEY",
    "USER_ID",
    "USER_TOKEN",
    "Absent",
    "BatchShape",
    "Dialect",
    "FluxService",
    "FluxTask",
    "Gateway",
    "GatewayDialect",
    "GatewayStatus",
    "GatewayTask",
    "HostedFile",
    "KlingForm",
    "KlingOutput",
    "KlingService",
    "KlingTask",
    "Link",
    "LinkWriter",
    "ListOrder",
    "LumaForm",
    "LumaService",
    "LumaTask",
    "MidjourneyService",
    "MidjourneyTask",
    "Mode",
    "OfficialDialect",
    "ReplicateService",
    "ReplicateTask",
    "RequestRecord",
    "RunwayService",
    "RunwayTask",
    "Signer",
    "SunoClip",
    "SunoLyricsTask",
    "SunoService",
    "SunoTask",
    "SunoWrapperService",
    "TaskListService",
    "UdioForm",
    "UdioService",
    "UdioSong",
    "UdioTask",
]
