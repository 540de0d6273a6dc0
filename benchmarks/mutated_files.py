"""Files that were damaged or altered on purpose: every one is refused with `kp.PruneError`, or read correctly.

python benchmarks/mutated_files.py run [NUMBER] [SEED]     # NUMBER mutants, as many of each KIND; default 10000
python benchmarks/mutated_files.py run [NUMBER] [SEED] KIND  # of one kind only
python benchmarks/mutated_files.py one KIND SEED           # one mutant again, with its traceback

A mutant is made from a good file by one to three changes: bytes flipped, cut out, doubled or inserted; a number, a text
or a bracket of its words replaced by a nasty one; for archives the same inside a member. Kinds: recipe, plan, state (of
Resume), model (.keras), packed (.kpz), and sealed: a .kpz file whose checksum was made right again. Correct is what
reads twice alike and, for a model, has the weights it says. Bounds: 5 s of processor time and 1 GiB over the process
that has imported kerasprune.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import resource
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np

import kerasprune as kp
from kerasprune.files.keras_model import load_model
from kerasprune.recipes import loader
from kerasprune.training.saved_state import SavedState

SECONDS, BYTES = 5.0, 1 << 30
SUFFIXES = {"recipe": "yaml", "plan": "json", "state": "npz", "model": "keras", "packed": "kpz", "sealed": "kpz"}
KINDS = tuple(SUFFIXES)
NASTY = (
    "0",
    "-1",
    "1",
    "1000000000",
    "99999999999999999999",
    "9" * 400,
    "1e999",
    ".nan",
    "NaN",
    "0.5",
    "-0.0",
    "null",
    "~",
    "true",
    "[]",
    "{}",
    '""',
    '"x"',
    "x",
    "[[]]",
    "[1, [2]]",
    "{a: 1}",
    '{"a": 1}',
    "*a",
    "&a x",
    "!!int x",
    "\\ud800",
    "\0",
    "é",
    "../../x",
    "a:b",
    "os:system",
    "[" * 500,
    "{" * 500,
    "x" * 20000,
    "2024-99-99",
    "1:30",
    "<<: *b",
)
WORD = re.compile(r"-?\d[\d.eE+-]*|\"[^\"]*\"|[A-Za-z_][\w-]*|[\[\]{}:,]")


def good_files(folder: Path) -> dict[str, list[bytes]]:
    """Returns good files of every kind."""
    library = [path.read_bytes() for path in sorted(kp.recipes.FOLDER.glob("*.yaml"))]
    net = small_model()
    plan = kp.plan(net, keep=0.5)
    plan.save(folder / "plan.json")
    net.save(folder / "net.keras")
    packed = packed_models(net, folder)
    arrays = {f"model/{n}": value for n, value in enumerate(net.get_weights())}
    about = {
        "layers": ["Dense()"], "variables": [["a/kernel", [3, 3]]], "optimizer": ["SGD", []], "callbacks": ["GReg1#0"],
        "settings": {"GReg1#0": {"every": 2}}, "positions": {"digits": 3},
    }  # fmt: skip
    state = SavedState(2, 0, False, arrays, about).save(folder)
    return {
        "recipe": library,
        "plan": [(folder / "plan.json").read_bytes()],
        "state": [state.read_bytes()],
        "model": [(folder / "net.keras").read_bytes()],
        "packed": packed,
        "sealed": packed,
    }


def packed_models(net: keras.Model, folder: Path) -> list[bytes]:
    """Returns packed files of a model: as it is, with codes for all weights, and with few weights left."""
    found, kernel = [], net.get_layer("first").kernel
    for kept, bits in ((1, {}), (1, 4), (0.1, 4), (0.1, {}), (0, 2)):
        values = np.random.default_rng(0).normal(size=kernel.shape)
        kernel.assign(np.where(np.arange(values.size).reshape(values.shape) < kept * values.size, values, 0))
        kp.codec.pack(net, folder / "net.kpz", bits=bits, overwrite=True)
        found.append((folder / "net.kpz").read_bytes())
    return found


def small_model() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="first")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    y = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(keras.layers.ReLU(name="relu")(x))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.Add(name="sum")([x, y]))
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x), name="net")


def mutated(content: bytes, kind: str, draw: random.Random) -> bytes:
    """Returns a file with one to three changes."""
    if kind == "sealed":
        return sealed(content, draw)
    for _ in range(draw.randint(1, 3)):
        if kind in ("state", "model") and draw.random() < 0.7:
            content = inside(content, draw)
        elif kind in ("recipe", "plan") and draw.random() < 0.75:
            content = words_changed(content, draw)
        else:
            content = bytes_changed(content, draw)
    return content


def sealed(content: bytes, draw: random.Random) -> bytes:
    """Returns a packed file with one to three changes in its head or behind it; lengths and checksum are right."""
    length = int.from_bytes(content[4:8], "little")
    head, body = zlib.decompress(content[12 : 12 + length]), content[12 + length : -16]
    for _ in range(draw.randint(1, 3)):
        if draw.random() < 0.5:
            head = words_changed(head, draw)
        elif draw.random() < 0.5 and body:
            at = draw.randrange(len(body))
            body = body[:at] + bytes([draw.randrange(256)]) + body[at + 1 :]
        else:
            body = bytes_changed(body, draw)
    small = zlib.compress(head)
    whole = content[:4] + len(small).to_bytes(4, "little") + len(head).to_bytes(4, "little") + small + body
    return whole + hashlib.blake2b(whole, digest_size=16).digest()


def inside(content: bytes, draw: random.Random) -> bytes:
    """Changes one member of an archive; an archive that is none any more gets its bytes changed."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:
        return bytes_changed(content, draw)
    if not members:
        return content
    name, action = draw.choice(sorted(members)), draw.random()
    if action < 0.05:
        members.pop(name)
    elif action < 0.1:
        members[f"more-{draw.randint(0, 9)}.npy"] = members[name]
    elif name.endswith(".json") or name in ("head.npy", "names.npy"):
        members[name] = json_changed(members[name], draw)
    else:
        members[name] = header_changed(members[name], draw)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if draw.random() < 0.2 else zipfile.ZIP_STORED) as archive:
        for each, value in members.items():
            archive.writestr(each, value)
    return buffer.getvalue()


def json_changed(content: bytes, draw: random.Random) -> bytes:
    """Changes the words of a JSON text, within an array of bytes too, whose length is then right again."""
    if not content.startswith(b"\x93NUMPY"):
        return words_changed(content, draw)
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(words_changed(np.load(io.BytesIO(content)).tobytes(), draw), np.uint8))
    return buffer.getvalue()


def header_changed(content: bytes, draw: random.Random) -> bytes:
    """Changes the header of an array, where types and shapes stand, more often than the rest."""
    if content.startswith(b"\x93NUMPY") and draw.random() < 0.7:
        return content[:10] + words_changed(content[10:128], draw) + content[128:]
    return bytes_changed(content, draw)


def words_changed(content: bytes, draw: random.Random) -> bytes:
    text = content.decode("utf-8", "surrogateescape")
    found = list(WORD.finditer(text))
    if not found:
        return bytes_changed(content, draw)
    place = draw.choice(found)
    new = draw.choice(found)[0] if draw.random() < 0.3 else draw.choice(NASTY)
    new = draw.choice((new, new, place[0] * draw.choice((2, 50)), ""))
    return (text[: place.start()] + new + text[place.end() :]).encode("utf-8", "surrogateescape")


def bytes_changed(content: bytes, draw: random.Random) -> bytes:
    if not content:
        return bytes([draw.randrange(256)])
    at, length = draw.randrange(len(content)), draw.choice((1, 1, 2, 8, 64, 1024))
    changes: tuple[Callable[[], bytes], ...] = (
        lambda: content[:at] + draw.randbytes(length) + content[at + length :],
        lambda: content[:at] + content[at + length :],
        lambda: content[:at] + content[at : at + length] * 2 + content[at + length :],
        lambda: content[:at] + draw.randbytes(length) + content[at:],
        lambda: content[:at],
        lambda: content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :],
    )
    return draw.choice(changes)()


def read(kind: str, path: Path) -> None:
    """Reads a file and checks that what was read can be handed on."""
    if kind == "recipe":
        recipe = loader.load(path)
        assert loader.parse(loader.dump(recipe)) == recipe
        loader.fingerprint(recipe)
    elif kind == "plan":
        plan = kp.Plan.load(path)
        assert kp.Plan.load(plan.save(path.with_name("again.json"))) == plan
        plan.check(GRAPH)
    elif kind == "state":
        state = SavedState.load(path)
        assert state.epoch >= 0 and all(isinstance(array, np.ndarray) for array in state.arrays.values())
    else:
        model = load_model(path) if kind == "model" else kp.codec.unpack(path)
        assert model.count_params() == sum(int(np.prod(value.shape)) for value in model.get_weights())


GRAPH = kp.trace(small_model())


def judged(kind: str, seed: int, goods: dict[str, list[bytes]], folder: Path) -> tuple[str, float]:
    """Returns what became of a mutant, and its seconds of processor time."""
    draw = random.Random(f"{kind}/{seed}")
    path = folder / f"mutant.{SUFFIXES[kind]}"
    path.write_bytes(mutated(draw.choice(goods[kind]), kind, draw))
    began = time.process_time()
    try:
        read(kind, path)
        outcome = "read"
    except kp.PruneError as error:
        outcome = "refused" if len(str(error)) < 20_000 else "a message of more than 20,000 characters"
    except BaseException as error:
        outcome = f"{type(error).__name__}: {str(error)[:100]}"
    return outcome, time.process_time() - began


def run(number: int, seed: int, kinds: Sequence[str] = KINDS) -> int:
    """Judges mutants; prints a table and returns how many were neither read nor refused within the bounds."""
    bad, slowest = 0, 0.0
    table: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        goods = good_files(folder)
        for kind in kinds:
            for content in goods[kind]:  # the good ones are read, and the caches are warm
                path = folder / f"good.{SUFFIXES[kind]}"
                path.write_bytes(content)
                read(kind, path)
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        for one in range(number):
            kind = kinds[one % len(kinds)]
            outcome, seconds = judged(kind, seed + one, goods, folder)
            slowest = max(slowest, seconds)
            if one % 200 == 3:
                keras.backend.clear_session()
            if outcome not in ("read", "refused") or seconds > SECONDS:
                bad += 1
                print(f"{kind} {seed + one}: {outcome} ({seconds:.1f} s)", flush=True)
                outcome = "fault"
            table[kind, outcome] += 1
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base
    for kind in kinds:
        print(f"{kind:8}" + "".join(f"{table[kind, word]:8} {word}" for word in ("read", "refused", "fault")))
    print(f"{number} files; slowest {slowest:.2f} s; {more / 2**20:.0f} MiB over the start")
    return bad + (more > BYTES)


def one(kind: str, seed: int) -> None:
    """Reads one mutant without a net."""
    with tempfile.TemporaryDirectory() as name:
        goods = good_files(Path(name))
        draw = random.Random(f"{kind}/{seed}")
        path = Path(name) / f"mutant.{SUFFIXES[kind]}"
        path.write_bytes(mutated(draw.choice(goods[kind]), kind, draw))
        read(kind, path)


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        sys.exit(run(int((sys.argv[2:3] or ["10000"])[0]), int((sys.argv[3:4] or ["0"])[0]), sys.argv[4:] or KINDS) > 0)
    elif sys.argv[1:2] == ["one"]:
        one(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(__doc__)
