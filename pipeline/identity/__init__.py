"""Who is to be seen and heard in a clip: embeddings of face and voice, and persons made of them."""
