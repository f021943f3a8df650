"""The aiWARE half of the emulator."""
