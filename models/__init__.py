"""A graph autoencoder for surprising edges: integers and floats in, nats out. See `models.autoencoder`."""
