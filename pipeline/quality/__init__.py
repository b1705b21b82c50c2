"""What can be measured of one aligned clip besides sync: picture, head, mouth, speech."""
