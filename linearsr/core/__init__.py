"""What the rooms of parts share: contracts, registries and config; and what they are put into: models, data, engine."""
