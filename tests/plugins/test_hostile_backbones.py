"""Model directories of anybody's: one thing of each is damaged, and each is refused with a sentence."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from spoilt_model import (
    INF,
    LABELS,
    NAN,
    SIZE,
    Spoil,
    both,
    claim,
    config,
    entry,
    header,
    in_place,
    index,
    instead,
    load,
    refused,
    tensors,
    vocabulary,
    without,
    words,
    write,
)

from srf_backbones.encoder import HuggingFaceEncoder
from srf_backbones.options import EncoderOptions, TinyOptions
from srf_backbones.tiny import TinyBert
from srframework import BackboneError, ModelDirectory


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A directory with a small BERT and its tokenizer."""
    folder = tmp_path_factory.mktemp("whole") / "bert"
    words = TinyBert(TinyOptions(layers=1, width=16, heads=2, intermediate=16)).load(LABELS, 1).tokenizer
    torch.manual_seed(0)
    hf.BertModel(hf.BertConfig(**SIZE, vocab_size=len(words), max_position_embeddings=64)).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "bert")


QUERY = "encoder.layer.0.attention.self.query.weight"

ZOO: dict[str, tuple[Spoil, str]] = {
    # configurations: the key is named
    "0 heads": (config(num_attention_heads=0), "num_attention_heads"),
    "heads that do not divide the width": (config(num_attention_heads=3), "num_attention_heads"),
    "negative heads": (config(num_attention_heads=-2), "num_attention_heads"),
    "heads of another type": (config(num_attention_heads=True), "num_attention_heads"),
    "half a head": (config(num_attention_heads=2.0), "num_attention_heads"),
    "0 layers": (config(num_hidden_layers=0), "num_hidden_layers"),
    "10^9 layers": (config(num_hidden_layers=10**9), "num_hidden_layers"),
    "10^30 layers": (config(num_hidden_layers=10**30), "num_hidden_layers"),
    "width 0": (config(hidden_size=0), "hidden_size"),
    "negative width": (config(hidden_size=-16), "hidden_size"),
    "width of 10^9": (config(hidden_size=10**9), "got sizes for"),
    "width as a string": (config(hidden_size="16"), "hidden_size"),
    "inner width 0": (config(intermediate_size=0), "intermediate_size"),
    "inner width of 10^12": (config(intermediate_size=10**12), "got sizes for"),
    "no words": (config(vocab_size=0), "vocab_size"),
    "10^11 words": (config(vocab_size=10**11), "got sizes for"),
    "no positions": (config(max_position_embeddings=0), "max_position_embeddings"),
    "10^11 positions": (config(max_position_embeddings=10**11), "got sizes for"),
    "other positions": (config(max_position_embeddings=65), "position_embeddings"),
    "no types": (config(type_vocab_size=-1), "type_vocab_size"),
    "NaN dropout": (config(hidden_dropout_prob=NAN), "hidden_dropout_prob"),
    "negative dropout": (config(attention_probs_dropout_prob=-0.1), "attention_probs_dropout_prob"),
    "dropout 1": (config(hidden_dropout_prob=1.0), "hidden_dropout_prob"),
    "dropout 1, an integer": (config(hidden_dropout_prob=1), "hidden_dropout_prob"),
    "dropout as a string": (config(hidden_dropout_prob="0.1"), "hidden_dropout_prob"),
    "dropout of the classifier": (config(classifier_dropout=2.0), "classifier_dropout"),
    "infinite epsilon": (config(layer_norm_eps=INF), "layer_norm_eps"),
    "negative epsilon": (config(layer_norm_eps=-1.0), "layer_norm_eps"),
    "negative standard deviation": (config(initializer_range=-0.02), "initializer_range"),
    "padding beyond the words": (config(pad_token_id=10**6), "pad_token_id"),
    "negative padding": (config(pad_token_id=-1), "pad_token_id"),
    "unknown activation": (config(hidden_act="zork"), "zork"),
    "activation of another type": (config(hidden_act=["gelu"]), "hidden_act"),
    "a decoder": (config(is_decoder=True), "is_decoder"),
    "cross attention": (config(add_cross_attention=True), "add_cross_attention"),
    "encoder and decoder": (config(is_encoder_decoder=True), "is_encoder_decoder"),
    "quantised": (config(quantization_config={"quant_method": "bitsandbytes"}), "quantization_config"),
    "another model": (config(model_type="distilbert", dim=16, hidden_dim=24, n_layers=1, n_heads=2), "missing"),
    "unknown model": (config(model_type="bort"), "did you mean"),
    "model of no classifier": (config(model_type="vit"), "vit"),
    "model type as a number": (config(model_type=5), "model_type"),
    "labels as a number": (config(id2label=3), "id2label"),
    "labels as numbers": (config(id2label={"0": 1, "1": 2}), "id2label"),
    "labels of words": (config(id2label={"a": "b"}), "id2label"),
    "configuration that is a directory": (in_place("config.json", Path.mkdir), "a directory"),
    "configuration that is a pipe": (in_place("config.json", os.mkfifo), "a pipe"),
    "configuration nested deeply": (write("config.json", "[" * 10**5), "nested too deeply"),
    "table nested deeply": (write("config.json", '{"a":' * 10**5), "nested too deeply"),
    "configuration not in UTF-8": (write("config.json", b'{"model_type": "b\xff"}'), "not a valid JSON"),
    "empty configuration": (write("config.json", ""), "not a valid JSON"),
    "number of 5000 digits": (write("config.json", '{"model_type": "bert", "x": ' + "9" * 5000 + "}"), "not a valid"),
    "configuration is an array": (write("config.json", "[1, 2]"), "expected a JSON table"),
    "BPE-dropout": (write("tokenizer.json", '{"model": {"type": "BPE", "dropout": 0.1}}'), "model.dropout must be 0"),
    # weights: file and tensor are named
    "NaN": (entry(QUERY, NAN), QUERY),
    "infinity": (entry("embeddings.LayerNorm.bias", -INF), "embeddings.LayerNorm.bias"),
    "beyond float32": (instead(QUERY, torch.full((16, 16), 1e300, dtype=torch.float64)), QUERY),
    "integers": (instead(QUERY, torch.ones(16, 16, dtype=torch.int8)), "I8"),
    "truth values": (instead(QUERY, torch.ones(16, 16, dtype=torch.bool)), "BOOL"),
    "float8": (instead(QUERY, torch.ones(16, 16).to(torch.float8_e4m3fn)), "F8_E4M3"),
    "another shape": (instead(QUERY, torch.ones(8, 16)), QUERY),
    "a scalar": (instead(QUERY, torch.tensor(1.0)), QUERY),
    "without a matrix": (tensors(lambda found: found.pop(QUERY)), QUERY),
    "nothing but one": (instead(QUERY, torch.ones(16, 16)), ""),
    "no tensors": (tensors(dict.clear), "without any"),
    "header longer than the file": (header(10**12), "model.safetensors"),
    "header of the longest": (header(2**64 - 1), "model.safetensors"),
    "header nested deeply": (header(10**5, b"[" * 10**5), "model.safetensors"),
    "header is an array": (header(2, b"[]"), "model.safetensors"),
    "shape beyond the file": (claim([10**12]), "model.safetensors"),
    "shape that overflows": (claim([2**40, 2**40]), "model.safetensors"),
    "negative offsets": (claim([2], end=-8), "model.safetensors"),
    "unknown type of number": (claim([2], dtype="F31"), "model.safetensors"),
    "cut off": (lambda f: os.truncate(f / "model.safetensors", 1000), "model.safetensors"),
    "empty weights": (write("model.safetensors", b""), "model.safetensors"),
    "weights that are a directory": (in_place("model.safetensors", Path.mkdir), "a directory"),
    "weights that are a pipe": (in_place("model.safetensors", os.mkfifo), "a pipe"),
    "a link to nothing": (in_place("model.safetensors", lambda at: at.symlink_to("nothing")), "a link to nothing"),
    "no weights": (without("model.safetensors"), "no file named model.safetensors"),
    # tokenizers
    "settings called like methods": (words(save_pretrained=1), "save_pretrained"),
    "no padding token": (both(config(pad_token_id=None), words(pad_token=None)), "pad_token"),
    "no unknown word": (words(unk_token=None), "unk_token"),
    "no token to classify by": (words(cls_token=None), "cls_token"),
    "a token that is a number": (words(pad_token=0), "pad_token"),
    "class of the tokenizer as a number": (words(tokenizer_class=3), "tokenizer_class"),
    "longest text as a table": (words(model_max_length={}), "model_max_length"),
    "side that is none": (words(padding_side="top"), "padding_side"),
    "tokens as an array": (words(added_tokens_decoder=[]), "added_tokens_decoder"),
    "tokenizer settings are an array": (write("tokenizer_config.json", "[]"), "tokenizer_config.json"),
    "tokenizer settings not in UTF-8": (write("tokenizer_config.json", b"\xff"), "tokenizer_config.json"),
    "tokenizer settings nested": (write("tokenizer_config.json", '{"a":' * 10**5), "tokenizer_config.json"),
    "tokenizer settings are a pipe": (in_place("tokenizer_config.json", os.mkfifo), "a pipe"),
    "tokenizer is a directory": (in_place("tokenizer.json", Path.mkdir), "a directory"),
    "tokenizer nested deeply": (write("tokenizer.json", "[" * 10**5), "nested too deeply"),
    "tokenizer without a model": (write("tokenizer.json", "{}"), "a directory"),
    "empty list of words": (vocabulary(b""), "vocab.txt"),
    "a word twice": (vocabulary(b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\na\n"), "vocab.txt:8"),
    "words not in UTF-8": (vocabulary(b"[PAD]\n\xff\xfe\n"), "vocab.txt"),
    # files that name files
    "index that names a pickle": (index(file="pytorch_model.bin"), "weight_map"),
    "index that leads out": (index(file="../../../etc/passwd"), "weight_map"),
    "index with a path": (index(file="/tmp/other.safetensors"), "weight_map"),
    "index that leads out and back": (index(file="../bert/model-00001-of-00001.safetensors"), "weight_map"),
    "index into a folder": (index(file="a/model.safetensors"), "weight_map"),
    "index with a number": (index(file=5), "weight_map"),
    "index with a hidden file": (index(file=".safetensors"), "weight_map"),
    "index of a shard that is missing": (index(file="model-00002-of-00002.safetensors"), "model-00002-of-00002"),
    "weights named elsewhere": (config(transformers_weights="../other.safetensors"), "transformers_weights"),
    "weights named here": (config(transformers_weights="adapter_model.bin"), "transformers_weights"),
    "another configuration": (config(configuration_files=["config.4.0.0.json"]), "configuration_files"),
    "another tokenizer": (words(fast_tokenizer_files=["tokenizer.4.0.0.json"]), "fast_tokenizer_files"),
    "an adapter": (write("adapter_config.json", '{"base_model_name_or_path": "../../.."}'), "adapter_config.json"),
}


def test_the_whole_one_is_loaded(whole, recwarn):
    assert load(whole).model.config.hidden_size == 16
    assert len(recwarn) == 0


@pytest.mark.parametrize("name", ZOO)
def test_each_is_refused_with_a_sentence(folder, name):
    spoil, says = ZOO[name]
    if name == "nothing but one":
        save_file({QUERY: torch.ones(16, 16)}, folder / "model.safetensors")
        says = "are missing"
    else:
        spoil(folder)
    message = refused(folder)
    assert str(folder) in message
    assert says in message


# -- nothing outside is opened, no pickle is read, no code is run -----------------------------------


class Canary:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self):
        return open, (str(self._mark), "w")


PICKLES = (
    *("pytorch_model.bin", "adapter_model.bin", "vocab.pkl", "tf_model.h5", "training_args.bin", ".metadata"),
    *("__0_0.distcp", "optimizer.pt", "model.bin"),
)


@pytest.fixture
def opened(folder):
    """The files that are opened from now on, by Python, as far as they lie beside the model's directory or in it."""
    seen: list[str] = []
    live = [True]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if live[0] and event == "open" and str(arguments[0]).startswith(str(folder.parent)):
            seen.append(os.path.basename(str(arguments[0])))

    sys.addaudithook(watch)
    yield seen
    live[0] = False


@pytest.mark.parametrize(
    "spoil",
    [
        index(file="pytorch_model.bin"),
        without("model.safetensors"),
        config(transformers_weights="pytorch_model.bin"),
        config(transformers_weights="adapter_model.bin"),
        both(without("model.safetensors"), config(_name_or_path="../outside")),
        both(config(auto_map={"AutoConfig": "code.C", "AutoModelForSequenceClassification": "code.M"})),
        both(config(model_type="own", auto_map={"AutoConfig": "code.C"})),
        words(auto_map={"AutoTokenizer": ["code.T", "code.T"]}, tokenizer_class="T"),
        words(tokenizer_class="TransfoXLTokenizer", vocab_file="vocab.pkl"),
        words(vocab_file="../outside/secret", tokenizer_file="../outside/secret", name_or_path="../outside"),
        words(special_tokens_map_file="../outside/secret", added_tokens_file="../outside/secret"),
        words(vocab="../outside/secret", init_inputs=["../outside/secret"]),
        both(without("tokenizer.json"), words(vocab="../outside/secret", merges="../outside/secret")),
        config(custom_pipelines={"x": {"impl": "code.P"}}, attn_implementation="somebody/kernel"),
        config(_attn_implementation="somebody/kernel", _attn_implementation_internal="somebody/kernel"),
        config(fusion_config={"a": "b"}),
        write("generation_config.json", '{"custom_generate": "code"}'),
        in_place("tokenizer.json", lambda at: at.symlink_to("../outside/secret")),
        in_place("config.json", lambda at: at.symlink_to("../outside/secret")),
        in_place("model.safetensors", lambda at: at.symlink_to("../outside/secret")),
        in_place("vocab.txt", lambda at: at.symlink_to(at.parent.parent / "outside/secret")),
    ],
)
def test_no_pickle_is_read_no_code_is_run_and_nothing_outside_is_opened(folder, opened, spoil):
    mark, outside = folder.parent / "mark", folder.parent / "outside"
    outside.mkdir()
    for place in (*(folder / name for name in PICKLES), outside / "secret", outside / "pytorch_model.bin"):
        place.write_bytes(pickle.dumps(Canary(mark)))
    (folder / "code.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    spoil(folder)
    opened.clear()
    with contextlib.suppress(BackboneError):
        load(folder)
    assert not mark.exists()
    assert set(opened).isdisjoint({*PICKLES, "secret", "code.py", "mark"})


def test_shards_are_read_where_their_index_names_files_of_the_directory(folder):
    before = load(folder).model.state_dict()
    found = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    table = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(sorted(found))}
    for shard in set(table.values()):
        save_file({name: found[name] for name in found if table[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    after = load(folder).model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_snapshot_in_the_hubs_cache_is_read_through_its_links(whole, tmp_path):
    repository = tmp_path / "models--org--name"
    snapshot, blobs = repository / "snapshots" / "abc", repository / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(sorted(whole.iterdir())):
        shutil.copy(file, blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert load(snapshot).model.config.hidden_size == 16
    (tmp_path / "other").write_bytes((whole / "model.safetensors").read_bytes())
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to("../../../other")
    assert "a link to" in refused(snapshot)


def test_of_a_model_on_the_hub_only_safe_files_are_asked_for(whole, tmp_path, monkeypatch):
    asked = []

    def download(name, revision, allow_patterns):
        asked.append((name, revision))
        kept = [file for file in PICKLES if any(fnmatch.fnmatch(file, pattern) for pattern in allow_patterns)]
        assert kept == []
        assert not any(fnmatch.fnmatch("code.py", pattern) for pattern in allow_patterns)
        return str(whole)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("srf_backbones.hub.snapshot_download", download)
    network = HuggingFaceEncoder(EncoderOptions(path="org/name", revision="v1")).load(LABELS, 1)
    assert asked == [("org/name", "v1")]
    assert network.model.name_or_path == "org/name"


def test_a_link_to_a_model_directory_is_followed(folder):
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert load(link).model.config.hidden_size == 16


@pytest.mark.parametrize(
    "spoil",
    [
        config(return_dict=False, output_attentions=True, output_hidden_states=True),
        config(chunk_size_feed_forward=7),
        config(to_dict=1, from_dict=2, to_diff_dict=3, save_pretrained=4, get_text_config=5, name_or_path=6),
        config(problem_type="regression"),
        config(dtype="float16", torch_dtype="int8"),
        config(__class__="x", _name_or_path=3, _commit_hash=[]),
        words(__class__="x", _tokenizer=2, name_or_path=3),
    ],
)
def test_what_does_not_bear_on_a_classifier_is_left_out(folder, tmp_path, spoil):
    batch = load(folder).tokenizer("the owl", return_tensors="pt")
    expected = load(folder).model(**batch).logits
    spoil(folder)
    network = load(folder)
    assert torch.equal(network.model(**batch).logits, expected)
    network.model.save_pretrained(tmp_path / "saved")
    network.tokenizer.save_pretrained(tmp_path / "saved")
    assert load(tmp_path / "saved").tokenizer.tokenize("the owl") == ["the", "owl"]


def test_the_saved_tokenizer_names_no_directory_that_is_gone(folder, tmp_path):
    tokenizer = load(folder).tokenizer
    assert tokenizer.name_or_path == str(folder)
    tokenizer.save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "tokenizer.json").read_text()) == json.loads(
        (folder / "tokenizer.json").read_text()
    )
    settings = (tmp_path / "saved" / "tokenizer_config.json").read_text()
    assert json.loads(settings) == json.loads((folder / "tokenizer_config.json").read_text())


def test_a_file_that_changes_after_loading_changes_nothing(folder):
    network = load(folder)
    before = {name: value.clone() for name, value in network.model.state_dict().items()}
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-5000, os.SEEK_END)
        file.write(b"\1" * 5000)
    assert all(torch.equal(before[name], value) for name, value in network.model.state_dict().items())


def test_weights_are_read_by_name_in_float32(folder):
    saved = load_file(folder / "model.safetensors")
    read = ModelDirectory(folder).weights()
    assert read.keys() == saved.keys() == ModelDirectory(folder).weight_shapes().keys()
    assert all(torch.equal(read[name], saved[name]) for name in saved)


@pytest.mark.parametrize("name", ["../x", "/x", "models/x", "a/b/c", "x/", "a b", "", "..x", "~/x"])
def test_a_path_that_is_not_there_is_refused_with_the_recipe(tmp_path, monkeypatch, name):
    (tmp_path / "work" / "models").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    [problem] = EncoderOptions(path=name).check_files()
    assert problem.key == ("path",)
    assert problem.message.startswith("Model not found: ")
    with pytest.raises(BackboneError, match=r"^backbone.path: Model not found: "):
        load(name)


def test_a_file_in_place_of_a_directory_is_refused_with_the_recipe(tmp_path):
    (tmp_path / "x").touch()
    [problem] = EncoderOptions(path=str(tmp_path / "x")).check_files()
    assert "file" in problem.message


@pytest.mark.parametrize("name", ["bert-base-uncased", "org/name", "org-1/Name_2.x"])
def test_a_name_on_the_hub_is_no_path(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert EncoderOptions(path=name).path == name
