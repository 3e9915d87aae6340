from __future__ import annotations

import numpy as np
import pytest

from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert
from srframework import testing
from srframework.contracts import Network
from srframework.run.embeddings import input_embeddings


@pytest.fixture(scope="module")
def tiny() -> Network:
    return TinyBert(TinyOptions(layers=1, width=16, heads=2, intermediate=16)).load(("no", "yes"), seed=1)


@pytest.fixture(scope="module")
def table(tiny) -> np.ndarray:
    return tiny.model.get_input_embeddings().weight.detach().double().numpy()


def rows(network: Network, *pieces: str) -> list[int]:
    ids = network.tokenizer.convert_tokens_to_ids(list(pieces))
    assert network.tokenizer.unk_token_id not in ids
    return ids


def test_a_word_of_one_piece_has_its_row(tiny, table):
    assert tiny.tokenizer.tokenize("owl") == ["owl"]
    (vector,) = input_embeddings(tiny)(["owl"])
    np.testing.assert_allclose(vector, table[rows(tiny, "owl")[0]], atol=1e-7)


@pytest.mark.parametrize("word", ["qzx", "wolfqq"])
def test_a_word_of_several_pieces_has_their_mean(tiny, table, word):
    pieces = tiny.tokenizer.tokenize(word)
    assert len(pieces) >= 3
    ids = rows(tiny, *pieces)
    (vector,) = input_embeddings(tiny)([word])
    np.testing.assert_allclose(vector, sum(table[each] for each in ids) / len(ids), atol=1e-6)


def test_words_keep_their_order_and_a_word_its_vector(tiny):
    vectors = input_embeddings(tiny)(["owl", "qzx", "owl", "fox"])
    assert vectors.shape == (4, 16)
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[3])


@pytest.mark.parametrize("word", ["", " ", "狐", "owl狐"])
def test_a_word_without_pieces_or_with_an_unknown_one_has_zeros(tiny, word):
    vectors = input_embeddings(tiny)(["owl", word, "fox"])
    assert (vectors[1] == 0).all()
    assert (vectors[[0, 2]] != 0).any(axis=1).all()


def test_no_words_have_no_rows(tiny):
    assert input_embeddings(tiny)([]).shape == (0, 16)


def test_more_words_than_are_asked_at_once_have_a_row_each(tiny):
    vectors = input_embeddings(tiny)(["owl", "fox", "?"] * 7_000)
    assert vectors.shape == (21_000, 16)
    assert np.array_equal(vectors, np.tile(vectors[:3], (7_000, 1)))


def test_they_are_those_of_the_model_as_it_was_when_asked():
    network = testing.network()
    vectors = input_embeddings(network)
    before = vectors(["a"])
    network.model.get_input_embeddings().weight.data.fill_(1.0)
    assert (input_embeddings(network)(["a"]) == 1).all()
    assert before.shape == (1, 8)
    assert not (before == 1).any()
