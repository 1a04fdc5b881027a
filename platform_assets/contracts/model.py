"""`Contract`: the base class of every dataset's description.

Belongs here: what turns plain annotations into pandas types that pandera can validate.
Does not belong here: the compiler (`compile.py`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pandera.pandas as pandera
from pandera.engines import pandas_engine

from platform_assets.contracts.columns import describe_columns


class Contract(pandera.DataFrameModel):
    """The only description of a dataset's columns: a pandera model with plain annotations.

    Annotate columns as `str int float bool Decimal date datetime` and describe them with
    `Field`, `Key` and `EventTime`. `MyContract.validate(frame, lazy=True)` is pandera's own,
    over nullable pandas types; `compile_contract` gives the same verdict in SQL.

    `int float bool` are pandas' masked types in a frame, `Decimal date` Arrow's: exact, and
    comparable where there are nulls. In a `@dataframe_check` that joins both with `|` or `&`,
    put Arrow's side first; pandas' masked types raise on Arrow's nulls the other way round.
    """

    @classmethod
    def build_schema_(cls, **kwargs: Any) -> pandera.DataFrameSchema:
        """Build pandera's schema with the pandas type of each column.

        Args:
            **kwargs: What pandera passes from `Config`.

        Returns:
            The schema.

        Raises:
            ContractError: A field cannot be compiled.
        """
        columns = describe_columns(cls, dataset="")
        for info, _ in cls.__fields__.values():
            info.default_dtype = None
        for column in columns:
            # The annotation that pandera parsed says `int`; what holds an int and a null is this.
            cls.__fields__[column.name][0].default_dtype = _resolved(column.type.dtype)
        return super().build_schema_(**kwargs)


@cache
def _resolved(dtype: Any) -> Any:
    """Pandera's own type of a pandas one; finding it takes longer than all else of a column."""
    return pandas_engine.Engine.dtype(dtype)
