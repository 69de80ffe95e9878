"""The subcommands of ``moe-bev``: one file each, with ``add_arguments(parser)`` and ``run(args) -> exit code``."""
