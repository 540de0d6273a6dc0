"""A small language model, trained on Python's own documentation, made smaller by width and by depth, and taught.

    python benchmarks/language_model.py train          # some 40 minutes
    python benchmarks/language_model.py run [SEED …]   # resumable: rows that are there are not run again
    python benchmarks/language_model.py table          # writes the table from the rows

The text is that of `pydoc` and of the docstrings of the standard library; every twentieth document is held out whole.
Words are 2,000 pieces of SentencePiece, trained on the rest; the class is KerasHub's Mistral. Shares are of all
parameters, embeddings included. `cut`: right after the cut, by `activation` and at random; `solved`: kernels solved on
512 blocks; `tuned` and `taught`: with a tenth of the dense model's steps, by the labels, and by the dense model
(forward KL, T = 1); `new`: the same config from random weights with the same number of steps, and with ten times as
many. Bits per byte of the documents held out; tokens per second of `generate`, dense and slim in turn.
"""

from __future__ import annotations

import ast
import io
import sysconfig
import time
from pathlib import Path
from typing import Any

import numpy as np
import rows

RESULTS, RUNS = Path(__file__).parent / "results", Path("runs") / "language_model"
ROWS, TABLE = (RESULTS / f"language_model{end}" for end in (".csv", ".md"))
FIELDS = ("way", "share", "seed", "params", "random", "cut", "solved", "tuned", "taught", "new", "new, tenfold",
          "tokens_1", "tokens_8", *rows.STAMP)  # fmt: skip
CONFIG = {"vocabulary_size": 2000, "num_layers": 6, "num_query_heads": 6, "hidden_dim": 192, "intermediate_dim": 512}
CONFIG |= {"num_key_value_heads": 2, "sliding_window": 128}
LENGTH, BATCH, STEPS, TENTH, RATE, SAMPLES, HELD_OUT = 128, 32, 2400, 240, 2e-3, 512, 20
WAYS, SHARES, GENERATED = ("width", "depth"), (0.5, 0.25), 64
SKIPPED = {"test", "tests", "idlelib", "lib2to3", "site-packages", "ensurepip"}


def documents() -> list[str]:
    """Returns the documents, in a random order that is always the same."""
    from pydoc_data.topics import topics

    found, root = [topics[name] for name in sorted(topics)], Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.glob("**/*.py")):
        if SKIPPED & set(path.relative_to(root).parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        kinds = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
        texts = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
        found.append("\n\n".join(filter(None, texts)))
    found = [text for text in found if len(text) > LENGTH]
    return [found[place] for place in np.random.default_rng(0).permutation(len(found))]


def parts() -> tuple[list[str], list[str]]:
    """Returns the documents to train on, and those held out."""
    found = documents()
    held = found[::HELD_OUT]
    return [text for place, text in enumerate(found) if place % HELD_OUT], held


def tokenizer() -> Any:
    """Returns the tokenizer, trained the first time."""
    import keras_hub

    path = RUNS / "pieces.spm"
    if not path.is_file():
        import sentencepiece

        RUNS.mkdir(parents=True, exist_ok=True)
        model, lines = io.BytesIO(), [line for text in parts()[0] for line in text.splitlines() if line.strip()]
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, vocab_size=CONFIG["vocabulary_size"], model_type="BPE",
            byte_fallback=True, remove_extra_whitespaces=False, normalization_rule_name="identity",
            user_defined_symbols=["\n"], pad_id=0, unk_id=3, bos_id=1, eos_id=2, num_threads=1,
        )  # fmt: skip
        path.write_bytes(model.getvalue())
    return keras_hub.tokenizers.MistralTokenizer(proto=str(path))


def blocks(texts: list[str]) -> tuple[np.ndarray, float]:
    """Returns tokens in blocks of one more than a length, one document after another, and their bytes per token."""
    pieces, end = tokenizer(), 2
    ids = np.concatenate([[*np.asarray(pieces(text)).tolist(), end] for text in texts]).astype("int32")
    number = (len(ids) - 1) // LENGTH
    found = np.stack([ids[place * LENGTH : place * LENGTH + LENGTH + 1] for place in range(number)])
    return found, sum(len(text.encode()) for text in texts) / len(ids)


def fed(found: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns the inputs and the labels of blocks."""
    return {"token_ids": found[:, :-1], "padding_mask": np.ones_like(found[:, :-1])}, found[:, 1:]


def bits_per_byte(model: Any, found: np.ndarray, bytes_per_token: float) -> float:
    """Returns the mean negative logarithm to the base 2 of the probability of a byte."""
    from keras import ops

    total = 0.0
    for begin in range(0, len(found), BATCH):
        x, y = fed(found[begin : begin + BATCH])
        logs = ops.log_softmax(model(x, training=False), axis=-1)
        total -= float(ops.sum(ops.take_along_axis(logs, ops.convert_to_tensor(y)[..., None], axis=-1)))
    return round(total / (len(found) * LENGTH) / bytes_per_token / np.log(2), 4)


def fit(model: Any, steps: int, rate: float, seed: int, teacher: Any = None) -> None:
    """Trains a model for some steps on blocks in a random order, with a cosine from a learning rate to zero."""
    import keras

    import kerasprune as kp

    found, _ = blocks(parts()[0])
    random = np.random.default_rng(seed)
    order = np.concatenate([random.permutation(len(found)) for _ in range(-(-steps * BATCH // len(found)))])
    x, y = fed(found[order[: steps * BATCH]])
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=rate, warmup_steps=steps // 20)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained = keras.Model(model.input, model.output) if teacher is None else kp.distil(
        model, teacher, temperature=1.0, weight=1.0
    )  # fmt: skip
    trained.compile(keras.optimizers.AdamW(schedule, weight_decay=0.1, global_clipnorm=1.0), loss=loss)
    trained.fit(x, y, batch_size=BATCH, shuffle=False, verbose=2)


def built(config: dict[str, Any], seed: int) -> Any:
    """Returns a task of a config with random weights."""
    import keras
    import keras_hub

    keras.utils.set_random_seed(seed)
    preprocessor = keras_hub.models.MistralCausalLMPreprocessor(tokenizer(), sequence_length=LENGTH)
    return keras_hub.models.MistralCausalLM(keras_hub.models.MistralBackbone(**config), preprocessor=preprocessor)


def train() -> None:
    """Trains the dense model."""
    model, held = built(CONFIG, 0), blocks(parts()[1])
    print(f"{model.count_params():,} parameters, {held[1]:.2f} bytes per token", flush=True)
    fit(model, STEPS, RATE, 0)
    print(bits_per_byte(model, *held), "bits per byte")
    model.save_to_preset(str(RUNS / "dense"))


def dense() -> Any:
    """Returns the trained model."""
    import keras_hub

    return keras_hub.models.MistralCausalLM.from_preset(str(RUNS / "dense"))


def tokens_per_second(models: list[Any], batch: int) -> list[float]:
    """Returns how many tokens each model generates in a second, the best of three in turn."""
    prompts, best = ["The function returns"] * batch, [np.inf] * len(models)
    for model in models:
        model.generate(prompts, max_length=GENERATED, stop_token_ids=None)
    for _ in range(3):
        for place, model in enumerate(models):
            begun = time.perf_counter()
            model.generate(prompts, max_length=GENERATED, stop_token_ids=None)
            best[place] = min(best[place], time.perf_counter() - begun)
    return [round(batch * GENERATED / seconds, 1) for seconds in best]


def asked(model: Any, way: str, share: float) -> dict[str, Any] | None:
    """Returns the arguments of `kp.hub.shrink`; `None` if no number of layers is so small."""
    if way == "width":
        return {"params": share}
    import keras_hub

    for number in range(CONFIG["num_layers"] - 1, 0, -1):
        slim = keras_hub.models.MistralBackbone(**CONFIG | {"num_layers": number})
        if slim.count_params() <= share * model.count_params():
            return {"layers": number}
    return None


def run(seed: int) -> None:
    """Runs the rows of a seed."""
    import kerasprune as kp

    model, held = dense(), blocks(parts()[1])
    done = {(row["way"], row["share"], row["seed"]) for row in rows.read(ROWS)}
    if not done:
        row = {
            "way": "dense",
            "share": 1,
            "seed": 0,
            "params": model.count_params(),
            "cut": bits_per_byte(model, *held),
        }
        rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "keras-hub")])
    found, _ = blocks(parts()[0])
    data = fed(found[np.random.default_rng(seed).permutation(len(found))[:SAMPLES]])[0]
    for way in WAYS:
        for share in SHARES:
            numbers = asked(model, way, share)
            if numbers is None or (way, str(share), str(seed)) in done:
                continue
            how = numbers | {"seed": seed, "data": data}
            slim = kp.hub.shrink(model, **how, reconstruct=False).slim
            row: dict[str, Any] = {"way": way, "share": share, "seed": seed, "params": slim.count_params()}
            row["cut"] = bits_per_byte(slim, *held)
            if way == "width":
                other = kp.hub.shrink(model, **how, criterion="random", reconstruct=False).slim
                row["random"] = bits_per_byte(other, *held)
            slim, _, report = kp.hub.shrink(model, **how)
            print(report, flush=True)
            row["solved"] = bits_per_byte(slim, *held)
            weights = slim.get_weights()
            fit(slim, TENTH, RATE / 2, seed)
            row["tuned"] = bits_per_byte(slim, *held)
            slim.set_weights(weights)
            fit(slim, TENTH, RATE / 2, seed, teacher=model)
            row["taught"] = bits_per_byte(slim, *held)
            config = slim.backbone.get_config()
            config = {name: config[name] for name in CONFIG}
            for name, steps in (("new", TENTH), ("new, tenfold", STEPS)):
                new = built(config, seed)
                fit(new, steps, RATE, seed)
                row[name] = bits_per_byte(new, *held)
            for batch in (1, 8):
                whole, small = tokens_per_second([model, slim], batch)
                row[f"tokens_{batch}"] = round(small / whole, 2)
            print(row, flush=True)
            rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "keras-hub")])


def table() -> None:
    """Writes the table."""
    found, named = rows.read(ROWS), FIELDS[4:13]
    lines = [
        "# A small language model made smaller",
        "",
        *(__doc__ or "").split("\n\n")[2].splitlines(),
        "",
        *(f"Dense: {row['cut']} bits per byte, {row['params']} parameters." for row in found if row["way"] == "dense"),
        "",
        f"| way | share | {' | '.join(named)} |",
        "|---|---|" + "---|" * len(named),
    ]
    for way in WAYS:
        for share in SHARES:
            mine = [row for row in found if (row["way"], row["share"]) == (way, str(share))]
            if mine:
                cells = [
                    rows.mean_std([float(row[name]) for row in mine if row[name]], 3) if mine[0][name] else "–"
                    for name in named
                ]
                lines.append(f"| {way} | {share} | {' | '.join(cells)} |")
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


if __name__ == "__main__":
    rows.run_asked({"run": run}, {"train": train, "table": table})
