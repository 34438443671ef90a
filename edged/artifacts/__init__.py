"""The artifact format: manifest, archive, signing."""
