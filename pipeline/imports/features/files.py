"""Reading files of features, a bounded part at a time: a folder of CSV files, a table, an array.

Nothing that could run code is loaded: pickles are refused.
"""

from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from pipeline.clip_ids import canonical_id
from pipeline.imports.features.arrays import array_blocks
from pipeline.imports.features.blocks import Block
from pipeline.imports.features.tables import csv_blocks, parquet_blocks
from pipeline.imports.findings import Findings, RefusedError

_PICKLES = frozenset({".p", ".pkl", ".pickle", ".joblib", ".pt", ".pth"})


def read_blocks(path: Path, ids: Path | None, findings: Findings) -> Iterator[Block]:
    """Yield the rows of a folder or a file, block by block.

    Parameters
    ----------
    path : Path
        A folder of one ``<id>.csv`` per clip, or a feature store; a CSV or Parquet table; an npy
        or npz file.
    ids : Path or None
        The ids of an array's rows.
    findings : Findings
        Takes the files of a folder that cannot be used: the others are read all the same.

    Raises
    ------
    RefusedError
        For a pickle, an unknown ending, a table without ids, or content that is no numbers.
    """
    if path.is_dir():
        return _folder_blocks(path, findings)
    if not path.is_file():
        raise RefusedError(
            "no such file or folder", [path.name], f"there is no file or folder {path}"
        )
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        is_pickle = file.read(1) == b"\x80"
    if is_pickle or suffix in _PICKLES:
        raise RefusedError(
            "pickles",
            [path.name],
            f"{path} is a pickle: loading one runs whatever code is in it, so it is not loaded. "
            'Convert it where you trust it: python -c "import pandas; pandas.read_pickle('
            f"'{path.name}').to_parquet('{path.stem}.parquet')\"",
        )
    if suffix in (".npy", ".npz"):
        return array_blocks(path, ids)
    if suffix in (".csv", ".tsv"):
        return csv_blocks(path, path.name)
    if suffix == ".parquet":
        return parquet_blocks(path)
    raise RefusedError(
        "files of another kind",
        [path.name],
        f"{path} ends in {suffix!r}: expected a folder of <id>.csv, or a .csv, .tsv, .parquet, "
        ".npy or .npz file",
    )


def files_of(path: Path) -> list[Path]:
    """List the files that are read of a folder or a file."""
    if not path.is_dir():
        return [path]
    shards = sorted(path.glob("part-*.parquet"))
    return shards or sorted(each for each in path.rglob("*.csv") if each.name[0] != ".")


def _folder_blocks(folder: Path, findings: Findings) -> Iterator[Block]:
    files = files_of(folder)
    if not files:
        raise RefusedError(
            "folders without features",
            [folder.name],
            f"{folder} holds no CSV file: expected one <id>.csv per clip",
        )
    if files[0].suffix == ".parquet":  # a store of ours
        for file in files:
            # The name of the folder, so that a clip may go on in the next shard.
            yield from (block._replace(source=folder.name) for block in parquet_blocks(file))
        return
    for file in tqdm(files, desc=folder.name, unit="file"):
        name = file.relative_to(folder).as_posix()
        try:
            yield from _clip_blocks(file, name)
        except RefusedError as error:
            findings.refuse(error)


def _clip_blocks(file: Path, name: str) -> Iterator[Block]:
    """Yield the rows of one clip's file, under the id that it is named after."""
    for block in csv_blocks(file, name, has_ids=False):
        if block.ids is not None and len(block.ids):
            said = {canonical_id(str(each)) for each in set(block.ids)}
            if said != {canonical_id(file.name)}:
                raise RefusedError(
                    "files with rows of another clip",
                    [name],
                    f"{name} has rows of {sorted(said)[:3]} in the column {block.columns.id!r}: "
                    "expected the clip that the file is named after; give a table of many clips "
                    "as a file",
                )
        yield block._replace(ids=None, clip_id=file.stem)
