"""The embedded demo corpus: talking faces and their voices, made by code from a seed."""
