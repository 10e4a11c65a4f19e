"""What a trained prior is asked: captions that training never showed are never shown."""

from __future__ import annotations

from sds3d.objects.captions import PREFIXES, read_caption
from sds3d.objects.catalogue import find
from sds3d.objects.held_out import pair_is_held_out, relation_is_held_out
from sds3d.training.evaluation import held_out_pairs, held_out_relations

KINDS = [
    find(name) for name in ("cube", "duck", "car", "dragon", "mushroom", "table", "cow", "mug", "sphere")
]


def read(caption: str):
    for prefix in PREFIXES:
        caption = caption.removeprefix(prefix)
    return read_caption(caption)


def test_held_out_pairs_are_held_out_and_differ():
    captions = held_out_pairs(KINDS, 60)
    assert len(set(captions)) == len(captions) == 60
    assert any(" with " in c for c in captions)
    for caption in captions:
        subject, colours = read(caption)
        assert pair_is_held_out(colours["main"], subject.kinds[0]), caption


def test_held_out_relations_hold_a_new_kind():
    new = [find("dragon"), find("mug")]
    captions = held_out_relations(KINDS, 40, new)
    assert captions
    for caption in captions:
        subject, _ = read(caption)
        assert {k.name for k in subject.kinds} & {"dragon", "mug"}, caption
        assert relation_is_held_out(subject.kinds[0], subject.relation, subject.kinds[1])
