"""Discovery of plugins, and lookup of components by name. Imports only the contracts and the layers below them."""
