"""The commands, one file each, imported only when used. The table of them is in `polos_cli.app`."""
