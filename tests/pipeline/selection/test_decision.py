import random

import pytest

from pipeline.selection.decision import Decision, KeptHashes


def decision(name: str, picture: int, sound: int) -> Decision:
    return Decision(
        clip_id=name,
        video_id="v",
        group="g",
        clip_start=0,
        num_frames=100,
        start=0,
        end=100,
        reason="",
        detail="",
        offset_frames=0.0,
        drift_frames=0.0,
        probability=1.0,
        score=None,
        face_px=0.0,
        picture=picture,
        sound=sound,
    )


def flipped(value: int, bits: int, draw: random.Random) -> int:
    for bit in draw.sample(range(64), bits):
        value ^= 1 << bit
    return value


def by_comparing_all(found: list[Decision], bits: int) -> list[str]:
    kept: list[Decision] = []
    said = []
    for one in found:
        like = (
            other.clip_id
            for other in kept
            if (other.picture ^ one.picture).bit_count() <= bits
            and (other.sound ^ one.sound).bit_count() <= bits
        )
        first = next(like, "")
        said.append("" if first == one.clip_id else first)
        if not first:
            kept.append(one)
    return said


@pytest.mark.parametrize("bits", [0, 1, 4, 20, 63, 64])
def test_the_index_finds_what_comparing_with_all_finds(bits: int):
    draw = random.Random(bits)
    origins = [(draw.getrandbits(64), draw.getrandbits(64)) for _ in range(12)]
    origins += [(origins[0][0], draw.getrandbits(64)), (0, 2**64 - 1)]
    found = []
    for number in range(400):
        picture, sound = draw.choice(origins)
        far = [draw.randint(0, min(64, bits + 1)) for _ in range(2)]
        name = f"{number // 2}"  # two parts of a clip are no duplicates of each other
        found.append(decision(name, flipped(picture, far[0], draw), flipped(sound, far[1], draw)))
    expected = by_comparing_all(found, bits)
    kept = KeptHashes(bits)
    assert [kept.duplicate_of_or_add(one) for one in found] == expected
    assert any(expected)


def test_spread_hashes_are_compared_with_few(monkeypatch: pytest.MonkeyPatch):
    draw = random.Random(2)
    compared = []
    like = KeptHashes._like

    def counted(self, places, both):
        compared.append(sum(map(len, places)))
        return like(self, places, both)

    monkeypatch.setattr(KeptHashes, "_like", counted)
    kept = KeptHashes(4)
    for number in range(5000):
        kept.duplicate_of_or_add(decision(f"{number}", draw.getrandbits(64), draw.getrandbits(64)))
    assert max(compared[-100:]) < 50
