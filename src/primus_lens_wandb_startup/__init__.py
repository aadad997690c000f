"""Run at every start of Python, by primus_lens_wandb_hook.pth. Until wandb is imported it does nothing but wait."""

import sys


class StartupFinder:
    is_primus_lens_finder = True

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> object:
        if fullname != "wandb":
            return None
        try:
            from primus_lens_wandb_exporter.wandb_hook import find_wandb
        except Exception:  # the exporter is gone or damaged: wandb must be importable all the same
            return None
        return find_wandb(path, target)


def register() -> None:
    for finder in sys.meta_path:
        if hasattr(finder, "is_primus_lens_finder"):
            return
    sys.meta_path.insert(0, StartupFinder())  # type: ignore[arg-type]


register()
