"""Media files: open, probe and hash them; frames, sound and faces by time."""
