"""The models people have, by name: what they are, where they lie, how they come onto this disk, what they need."""
