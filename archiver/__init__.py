"""Archive what you generated: tasks of video, image and music APIs, whole and verified."""

__version__ = "0.1.0"
