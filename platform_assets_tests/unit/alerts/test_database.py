import threading

import pytest
import sqlalchemy as sa

from platform_assets.alerts.database import METADATA, Database
from platform_assets.errors import SettingsError

COUNTS = sa.Table("_test_counts", METADATA, sa.Column("number", sa.Integer))


@pytest.fixture(scope="module", autouse=True)
def _table_of_this_module():
    yield
    METADATA.remove(COUNTS)


def _numbers(database):
    with database.transaction() as connection:
        return sorted(connection.execute(sa.select(COUNTS.c.number)).scalars())


def test_what_raises_leaves_nothing(tmp_path):
    database = Database(tmp_path / "new" / "watch.sqlite")

    def write_and_fail():
        with database.transaction() as connection:
            connection.execute(COUNTS.insert().values(number=1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert _numbers(database) == []


def test_one_writes_at_a_time_and_none_is_lost(tmp_path):
    database = Database(tmp_path / "watch.sqlite")

    def count_on():
        for _ in range(20):
            with database.transaction() as connection:
                newest = connection.execute(sa.select(sa.func.max(COUNTS.c.number))).scalar()
                connection.execute(COUNTS.insert().values(number=(newest or 0) + 1))

    writers = [threading.Thread(target=count_on) for _ in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert _numbers(Database(tmp_path / "watch.sqlite")) == list(range(1, 81))


def test_a_file_that_is_no_database_is_refused(tmp_path):
    file = tmp_path / "watch.sqlite"
    file.write_text("notes" * 100)
    with pytest.raises(SettingsError, match=r"cannot be opened[\s\S]*watch\.sqlite[\s\S]*fix: "):
        Database(file)
