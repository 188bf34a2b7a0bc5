"""From a config to layers: files, plugins, the catalogue of what there is, and the factory."""
