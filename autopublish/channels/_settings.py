"""What the settings of all channels share; apart from the rest, since a run that tells nothing needs no pydantic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ChannelSettings(BaseModel):
    """A channel's part of the YAML; secrets are `SecretStr` and written as references."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
