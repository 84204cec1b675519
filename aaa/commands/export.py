"""`aaa export`: a round's pairs as a file a trainer loads; whole, or not there."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from aaa.client import Client
from aaa.commands.opening import open_client, say
from aaa.errors import InputError, SetupError
from aaa.settings import Settings


async def export(settings: Settings, rounds: Sequence[str], format: str, output: str) -> int:
    """Write the rounds' pairs, in the order given; `-` is stdout."""
    async with open_client(settings) as client:
        if output == "-":
            for round_id in rounds:
                await client.pairs(round_id, sys.stdout.buffer, format=format)
            sys.stdout.buffer.flush()
            return 0
        count = await write_pairs(client, rounds, format, Path(output))
        say(f"{count} pairs written to {output}")
    return 0


async def write_pairs(client: Client, rounds: Sequence[str], format: str, path: Path) -> int:
    """Write beside `path`, fsync, rename: a kill or a full disk leaves no half file. Rows written."""
    if path.suffix not in (".jsonl", ".json"):
        raise InputError(f"{str(path)!r}: exports are JSONL; give a name that ends in .jsonl")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise SetupError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            count = await _fill(client, rounds, format, file)
        await asyncio.to_thread(Path(draft).chmod, 0o644)
        await asyncio.to_thread(Path(draft).replace, path)
    except OSError as error:
        raise SetupError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    finally:
        with suppress(FileNotFoundError):
            await asyncio.to_thread(Path(draft).unlink)
    return count


async def _fill(client: Client, rounds: Sequence[str], format: str, file: BinaryIO) -> int:
    count = 0
    for round_id in rounds:
        count += await client.pairs(round_id, file, format=format)
    file.flush()
    await asyncio.to_thread(os.fsync, file.fileno())
    return count
