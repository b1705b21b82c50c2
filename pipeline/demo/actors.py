"""Who appears in the demo corpus, and how they are put before the camera."""

from dataclasses import replace

from pipeline.demo.scenario import Actor, Shot

ANNA = Actor(sitter="astronaut", centre=(0.5, 0.46))
BELLA = replace(
    ANNA, centre=(0.46, 0.47), mirrored=True, gain=(0.86, 0.92, 1.0), face_px=125.0, voice="en+f4"
)
GRACE = Actor(sitter="hopper", centre=(0.5, 0.55), voice="en-gb-x-rp+f2")
HOPE = replace(
    GRACE, centre=(0.53, 0.54), mirrored=True, gain=(0.8, 0.85, 0.92), face_px=105.0, voice="en-us"
)


def says(actor: Actor, text: str, voice: str = "", words_per_minute: int = 150) -> Actor:
    """Give an actor a text, and another voice if one is named."""
    return replace(actor, text=text, voice=voice or actor.voice, words_per_minute=words_per_minute)


def beside(actor: Actor) -> Actor:
    """One of two faces in a small picture."""
    return replace(actor, face_px=85.0, centre=(0.5, 0.5))


def listens(actor: Actor, text: str, effort: float = 1.0) -> Actor:
    """Beside a speaker: the mouth moves to words that are not in the sound."""
    return replace(beside(actor), text=text, heard=False, effort=effort)


def alone(actor: Actor) -> tuple[Shot, ...]:
    """Return a film of one shot with one face."""
    return (Shot(actors=(actor,)),)
