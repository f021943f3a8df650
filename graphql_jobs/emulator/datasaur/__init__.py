"""The Datasaur half of the emulator."""
