"""The faces of polos: the command line and what it shows. Decides nothing that the library decides."""
