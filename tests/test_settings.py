import tomllib

import pytest

from shelfwise.errors import SettingsError
from shelfwise.settings import FILE, Settings, load_settings, template


def test_an_empty_folder_has_the_defaults(tmp_path):
    assert load_settings(tmp_path) == Settings()


def test_the_file_is_read_and_the_environment_wins(tmp_path, monkeypatch):
    (tmp_path / FILE).write_text('name = "From the file"\nport = 9000\n')
    monkeypatch.setenv("SHELFWISE_PORT", "9001")
    settings = load_settings(tmp_path)
    assert (settings.name, settings.port) == ("From the file", 9001)


def test_a_file_saved_by_notepad_is_read(tmp_path):
    (tmp_path / FILE).write_bytes(b'\xef\xbb\xbfname = "Caf\xc3\xa9"\r\nport = 9000\r\n')
    assert (load_settings(tmp_path).name, load_settings(tmp_path).port) == ("Café", 9000)


@pytest.mark.parametrize(
    ("key", "near"), [("portt", "port"), ("learning_rat", "learning_rate"), ("netwrok", "network")]
)
def test_an_unknown_key_names_the_nearest_known_one(tmp_path, key, near):
    (tmp_path / FILE).write_text(f"{key} = 1\n")
    with pytest.raises(SettingsError, match=f"{key}.*did you mean '{near}'"):
        load_settings(tmp_path)


def test_an_unknown_variable_is_an_error_too(tmp_path, monkeypatch):
    monkeypatch.setenv("SHELFWISE_WORKER", "2")
    with pytest.raises(SettingsError, match="did you mean 'workers'"):
        load_settings(tmp_path)


def test_a_setting_of_an_earlier_version_is_said_and_ignored(tmp_path, monkeypatch, caplog):
    """Cases 30 to 36 name SHELFWISE_BASELINE_MINUTES, which no later version may stop at."""
    (tmp_path / FILE).write_text("baseline_minutes = 3\nminutes = 2\n")
    monkeypatch.setenv("SHELFWISE_BASELINE_MINUTES", "0")
    assert load_settings(tmp_path).minutes == 2
    assert caplog.text.count("baseline_minutes is no more") == 2


@pytest.mark.parametrize("line", ["port = 0", 'port = "x"', 'network = "cnn"', "dropout = 1.0", "width = 4"])
def test_a_value_out_of_range_names_its_setting(tmp_path, line):
    (tmp_path / FILE).write_text(line)
    with pytest.raises(SettingsError, match=line.split()[0]):
        load_settings(tmp_path)


@pytest.mark.parametrize("content", [b"port = = 1", b"\xff\xfe\x00", b'name = "unclosed'])
def test_a_broken_file_is_named(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings(tmp_path)


def test_the_template_lists_every_setting_and_sets_the_chosen(tmp_path):
    text = template({"name": 'A "quoted" 店', "port": 8123, "durable": False})
    assert tomllib.loads(text) == {"name": 'A "quoted" 店', "port": 8123, "durable": False}
    for name, spec in Settings.model_fields.items():
        assert f"{name} = " in text
        assert spec.description, f"{name} has no help"
        assert spec.description in text
    uncommented = text.replace("\n# ", "\n").replace("# Settings", "").splitlines()
    values = tomllib.loads(
        "\n".join(line for line in uncommented if " = " in line and line.split(" = ")[0].isidentifier())
    )
    (tmp_path / FILE).write_text(text)
    assert set(values) == set(Settings.model_fields)


def test_the_template_refuses_unknown_names():
    with pytest.raises(SettingsError, match="did you mean"):
        template({"prot": 1})


def test_columns_are_a_table_and_in_the_environment_json(tmp_path, monkeypatch):
    text = template({"event_columns": {"customer": "user id", "price": "cents|/100"}})
    (tmp_path / FILE).write_text(text)
    assert load_settings(tmp_path).event_columns == {"customer": "user id", "price": "cents|/100"}
    monkeypatch.setenv("SHELFWISE_EVENT_COLUMNS", '{"customer": "who"}')
    assert load_settings(tmp_path).event_columns == {"customer": "who", "price": "cents|/100"}
    monkeypatch.setenv("SHELFWISE_EVENT_COLUMNS", "customer=who")
    with pytest.raises(SettingsError, match=r"event_columns.*JSON"):
        load_settings(tmp_path)
