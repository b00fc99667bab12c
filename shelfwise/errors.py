"""Every error Shelfwise raises on purpose. Each message says what is wrong and how to mend it.

ShelfwiseError
├── InvalidRecord        a product or event breaks a rule of schema.py
├── UnreadableFile       a file cannot be understood; nothing was changed
├── SettingsError        shelfwise.toml or an environment variable is wrong
├── ShopError            the folder is not a shop, or is one already
├── Busy                 what may run only once runs already
├── StoreError           the record cannot be opened, migrated or written
├── BackupError          a backup cannot be made, is damaged, or cannot be restored here
├── MissingDependency    an optional package is needed and absent
├── NotEnoughData        too few events or products to learn or to measure
├── BundleError          a bundle is absent, corrupt or foreign
├── EncodingError        a text or image encoder cannot be loaded or used
├── UnknownProduct       no product has this id
├── InvalidRequest       a question to the engine breaks a rule
├── Forbidden            no key, an unknown key, or a key without the scope; a wrong password
└── TooManyAttempts      too many wrong passwords in a short time
"""

from __future__ import annotations


class ShelfwiseError(Exception):
    """The root: catch this to catch everything Shelfwise raises on purpose."""


class InvalidRecord(ShelfwiseError):
    """A product or an event breaks a rule. `field` names where."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}")


class UnreadableFile(ShelfwiseError):
    """A file cannot be understood. `line` (1-based) and `column` say where, when known."""

    def __init__(self, path: object, problem: str, *, line: int | None = None, column: str | None = None) -> None:
        self.path = str(path)
        self.problem = problem
        self.line = line
        self.column = column
        where = self.path
        if line is not None:
            where += f", line {line}"
        if column is not None:
            where += f", column {column!r}"
        super().__init__(f"{where}: {problem}")


class SettingsError(ShelfwiseError):
    """A setting is unknown or has a value outside its range."""


class ShopError(ShelfwiseError):
    """The folder is not a shop (run `shelfwise init`), or is one already."""


class Busy(ShelfwiseError):
    """What may run only once in a shop runs already; the message says since when and in which process."""


class StoreError(ShelfwiseError):
    """The record cannot be opened, migrated or written."""


class BackupError(ShelfwiseError):
    """A backup cannot be made or put back; nothing was changed and nothing half done was left."""


class MissingDependency(ShelfwiseError):
    """An optional package is needed; the message gives the `pip install` line."""


class NotEnoughData(ShelfwiseError):
    """Too few events or products for what was asked."""


class BundleError(ShelfwiseError):
    """A bundle is absent, corrupt or foreign; the one in use keeps serving."""


class EncodingError(ShelfwiseError):
    """A text or image encoder cannot be loaded or cannot read its input."""


class UnknownProduct(ShelfwiseError):
    """No product has this id."""

    def __init__(self, product: str) -> None:
        self.product = product
        super().__init__(f"no product has the id {product!r}; load it with `shelfwise load products`")


class InvalidRequest(ShelfwiseError):
    """A question to the engine breaks a rule. `field` names which."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}")


class Forbidden(ShelfwiseError):
    """No key was given, the key is unknown, or it lacks the scope; or a password or link is wrong."""


class TooManyAttempts(ShelfwiseError):
    """Too many wrong passwords in a short time. `seconds`: how long until another may be tried."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"too many wrong passwords; wait {max(1, round(seconds / 60))} min and try again")
