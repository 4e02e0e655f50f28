"""What loading a result file shares: its error, and checks that name file and key."""
import json

SCHEMA_VERSION = 1


class ResultError(Exception):
    """A file that cannot be reported on; the text is one line naming file and expectation."""


class OtherSchema(ResultError):
    """A result of hak that the report has no figure for."""

    def __init__(self, path, schema, known):
        super().__init__(f"{path}: schema: one of {', '.join(known)} expected, found {short(schema)}")
        self.schema = schema


def short(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Check:
    """Raises ResultError with the file and the key when an expectation fails."""

    def __init__(self, path):
        self.path = path

    def that(self, holds, key, expected):
        if not holds:
            raise ResultError(f"{self.path}: {key + ': ' if key else ''}{expected} expected")

    def get(self, document, prefix, key, kind, null=False):
        names = {dict: "an object", list: "an array", str: "a string", int: "an integer >= 0", float: "a number >= 0"}
        self.that(key in document, prefix + key, f"{names[kind]}{' or null' if null else ''}")
        value = document[key]
        if value is None and null:
            return None
        fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
        if fits and kind in (int, float):
            fits = 0 <= value < float("inf")
        self.that(fits, prefix + key, f"{names[kind]}{' or null' if null else ''}, found {short(value)},")
        return value

    def integers(self, value, key):
        """A list of integers >= 0."""
        self.that(isinstance(value, list) and all(type(each) is int and each >= 0 for each in value), key, "a list of integers >= 0")
        return value


def check_version(check, document, prefix):
    version = check.get(document, prefix, "version", int)
    check.that(1 <= version <= SCHEMA_VERSION, prefix + "version",
               f"{SCHEMA_VERSION} or less, found {version}: a newer reuse_report.py")
