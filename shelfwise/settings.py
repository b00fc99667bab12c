"""Every setting, once: name, default, unit, help.

Read from `shelfwise.toml` in the shop's folder; an environment variable `SHELFWISE_<NAME>` wins over the
file. An unknown key is an error that names the nearest known one. docs/settings.md is checked against
this table by a test, and so is that every setting is read somewhere.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import logging
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from shelfwise.errors import SettingsError

FILE = "shelfwise.toml"
PREFIX = "SHELFWISE_"
#: Variables that share the prefix and are no settings.
NOT_SETTINGS = frozenset({"SHELFWISE_SHOP", "SHELFWISE_DATA", "SHELFWISE_KEY", "SHELFWISE_CASES"})
#: Settings of earlier versions, and why they are no more: a shop that still has one runs on, and is told.
FORMER = {
    "baseline_minutes": "training measures no baselines that need minutes of their own",
    "optimizer": "the network is trained by AdamW",
}

log = logging.getLogger(__name__)


class Settings(BaseSettings):
    """A shop's settings. Units stand in each description."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    # The shop
    name: str = Field("Shop", max_length=200, description="The shop's name, shown on pages and reports.")
    language: Literal["en", "zh"] = Field("en", description="Language of reasons and reports: en or zh.")
    currency: str = Field("USD", max_length=3, description="Currency of prices that come without one (ISO 4217).")

    simulated: bool = Field(
        False, description="Say on every page of the shop window that this shop's shoppers are simulated."
    )

    # The record
    store: str = Field(
        "", description="Where products and events are kept: empty for SQLite in the shop's folder, or postgresql://…"
    )
    durable: bool = Field(
        True, description="Force each write to disk before acknowledging it (fsync). Off only for throw-away shops."
    )

    # Intake
    event_columns: dict[str, str] = Field(
        {},
        description='Which column of event logs is which field, for example { customer = "user_id" }; empty guesses by '
        "common names.",
    )
    retire_most: float = Field(
        0.2, ge=0, le=1, description="The largest share of the products shown that `load products --full` may retire."
    )
    product_columns: dict[str, str] = Field(
        {},
        description='Which column of product feeds is which field, for example { id = "article" }; empty guesses by '
        "common names.",
    )

    not_products: list[str] = Field(
        [],
        description="Ids in event logs that are no products, beside postage, gift cards and tips: patterns, * for any "
        'letters, for example ["PRINT-*"].',
    )
    low_rating: float = Field(
        2, description="A `rate` event of this value or less says that the product was disliked (of five stars, two)."
    )
    no_customers: list[str] = Field(
        [], description="Customer ids that stand for nobody, beside guest, undefined, (not set), 0 and the like."
    )
    ignored_customers: list[str] = Field(
        [],
        description="Customers whose events count for nobody else: testers, wholesale buyers. They are recorded and "
        "answered, but neither learned from nor counted as popular.",
    )

    # Encoders
    text_encoder: Literal["use", "none"] = Field(
        "use", description="Text vectors: use (multilingual Universal Sentence Encoder) or none."
    )
    image_encoder: Literal["efficientnet-lite0", "none"] = Field(
        "efficientnet-lite0", description="Photo vectors: efficientnet-lite0 or none."
    )
    threads: int = Field(0, ge=0, le=1024, description="Threads for encoding and training; 0 is one a core.")

    # Learning
    network: Literal["lstm", "gru", "transformer"] = Field("transformer", description="The sequence tower.")
    width: int = Field(128, ge=8, le=2048, description="Dimensions of item and customer vectors.")
    history: int = Field(30, ge=1, le=1000, description="Newest events of a customer the network reads.")
    memory: int = Field(
        700,
        ge=1,
        le=10_000,
        description="Newest events of a customer the engine reads: what was bought, how often. Of all is read what was "
        "bought, where that may not be shown.",
    )
    learning_rate: float = Field(0.001, gt=0, le=10, description="Highest learning rate.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout in the network, 0 to 1.")
    weight_decay: float = Field(0.0, ge=0, le=10, description="L2 weight decay.")
    epochs: int = Field(15, ge=1, le=10_000, description="Most passes over the data; early stopping may end before.")
    minutes: float = Field(
        10,
        ge=0,
        le=10_000,
        description="Most minutes of training the network, all its fits of one training together; 0 is no limit.",
    )
    seed: int = Field(0, ge=0, le=2**31, description="Seed of everything random, so that a run can be repeated.")
    validation_days: int = Field(14, ge=1, le=365, description="Newest days kept from training to choose and to stop.")

    report_questions: int = Field(
        100,
        ge=0,
        le=100_000,
        description="Questions of a kind that a training asks for its report: pages, carts, first visits and others; "
        "0 asks none.",
    )
    bundles_kept: int = Field(
        5,
        ge=0,
        le=10_000,
        description="Newest bundles kept after a training, beside the one in use and the one before it.",
    )

    # Planning
    country: str = Field(
        "", max_length=3, description="Whose public holidays forecasts know (ISO 3166, for example US); empty for none."
    )
    lead_time: float = Field(14, ge=0, le=730, description="Days from order to delivery, where stock does not say.")
    review: float = Field(7, ge=1, le=365, description="Days from one order to the next, where stock does not say.")
    service_level: float = Field(
        0.95, ge=0.01, le=0.999, description="Wanted chance that stock lasts, where neither it nor a cost is given."
    )

    # Answers
    diversity: float = Field(
        0.0, ge=0, le=1, description="How far products that differ go before relevant ones that are alike, 0 to 1."
    )

    stock_dial: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How far overstock goes up in answers, and down what runs out before its delivery, 0 to 1.",
    )

    # Serving
    host: str = Field("127.0.0.1", description="Address to listen on; anything but loopback needs keys.")
    trusted_proxies: list[str] = Field(
        [],
        description="Addresses and networks of proxies believed about who asks (X-Forwarded-For, -Proto, -Host, "
        '-Prefix), for example ["127.0.0.1", "10.0.0.0/8"].',
    )
    root_path: str = Field(
        "", description="Path under which a proxy shows this server, for example /shelfwise; empty for the root."
    )
    cors_origins: list[str] = Field(
        [],
        description="Origins whose pages may ask the read routes (recommend, similar, search, suggest) from a browser, "
        'for example ["https://shop.example"]; "*" is any.',
    )
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    workers: int = Field(1, ge=1, le=256, description="Server processes over the one store.")
    upload_mb: int = Field(500, ge=1, le=100_000, description="Largest file the console takes, in MB.")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, values: list[str]) -> list[str]:
        for value in values:
            ipaddress.ip_network(value, strict=False)
        return values

    @field_validator("root_path")
    @classmethod
    def _prefix(cls, value: str) -> str:
        value = value.rstrip("/")
        if value and not re.fullmatch(r"(/[\w.~-]+)+", value):
            raise ValueError("must be empty or a path like /shelfwise")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, values: list[str]) -> list[str]:
        for value in values:
            if value != "*" and not re.fullmatch(r"https?://[^/\s]+", value):
                raise ValueError(f"{value!r} is no origin; write https://shop.example, without a path, or *")
        return values

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load_settings(folder: Path) -> Settings:
    """The settings of the shop in `folder`. Raises SettingsError."""
    path = folder / FILE
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text("utf-8-sig")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    for key in list(values):
        if not _is_setting(key, str(path)):
            del values[key]
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            _is_setting(variable.removeprefix(PREFIX).lower(), "the environment")
    try:
        return Settings(**values)
    except UnreadableVariable as error:
        raise SettingsError(f"the environment: {error}; write it as JSON") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{path}: {name}: {first['msg']} (it is {first['input']!r})") from None


def _is_setting(key: str, where: str) -> bool:
    """False for a setting of an earlier version, which is said. Raises SettingsError for what never was one."""
    if key in FORMER:
        log.warning("%s: the setting %s is no more and is ignored: %s", where, key, FORMER[key])
        return False
    if key not in Settings.model_fields:
        near = difflib.get_close_matches(key, Settings.model_fields, n=1, cutoff=0.0)
        raise SettingsError(f"{where}: unknown setting {key!r}; did you mean {near[0]!r}?")
    return True


def template(chosen: Mapping[str, Any] | None = None) -> str:
    """The text of a new shelfwise.toml: `chosen` set, every other setting a comment with its default.

    Raises SettingsError for an unknown name."""
    chosen = chosen or {}
    for key in chosen:
        _is_setting(key, "new shop")
    lines = ["# Settings of this shop. Remove the # of a line to change it.", ""]
    for name, spec in Settings.model_fields.items():
        line = f"{name} = {_toml(chosen.get(name, spec.default))}"
        lines += [f"# {spec.description}", line if name in chosen else f"# {line}", ""]
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(name)} = {_toml(part)}" for name, part in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)  # of text, numbers and booleans, JSON's form is TOML's
