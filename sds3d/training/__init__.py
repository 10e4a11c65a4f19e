"""Training the embedded prior: pictures of the catalogue, captions, text tower, network, scorers."""
