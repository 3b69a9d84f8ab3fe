"""Rendering: data as text for people and as JSON for programs, on the streams of the process."""
