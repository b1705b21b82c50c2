"""What every stage shares: the engine, media, faces, the judge, the demo corpus."""
