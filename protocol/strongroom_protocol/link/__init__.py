"""Linking a new device with an old one (spec chapter 15)."""
