"""What is in the bundled photos, in ImageNet's words, listed by hand after a first look at the tagger's answers."""

IN_SIGHT: dict[str, tuple[str, ...]] = {
    "astronaut": ("space shuttle", "crash helmet"),
    "rocket": ("missile", "projectile"),
    "motorcycle_left": ("moped", "motor scooter", "disk brake", "car wheel"),
    "china": ("palace", "lakeside"),
    "camera": ("tripod",),
    "coffee": ("espresso", "cup", "coffee mug"),
    "chelsea": ("tabby", "tiger cat", "Egyptian cat"),
    "flower": ("daisy",),
}
"""ImageNet has no rocket, motorcycle, space suit or dahlia: missile, moped, crash helmet and daisy are the nearest it has."""

NO_WORDS = ("hubble_deep_field", "retina", "ihc", "brick", "grass", "gravel", "coins", "moon", "page")
"""Galaxies, tissue, textures, coins, the moon, a page of text: no class of ImageNet is in them."""
