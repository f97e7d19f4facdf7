"""How moments are written where Django writes them itself, as everywhere else on the site: FORMAT_MODULE_PATH."""
