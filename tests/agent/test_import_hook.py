"""The import hook leaves imports as they are, whatever is called wandb and whoever asks."""

from __future__ import annotations

from pathlib import Path

from ..support.training import Trainer


def test_start_up_imports_nothing_but_the_hook(trainer: Trainer) -> None:
    training = trainer.run(
        """
        import os, subprocess, sys
        import primus_lens_wandb_exporter as package
        place = os.path.dirname(os.path.dirname(package.__file__))
        code = (
            "import sys; sys.path.insert(0, {!r}); before = set(sys.modules)\\n"
            "from primus_lens_wandb_exporter.wandb_hook import install_wandb_hook; install_wandb_hook()\\n"
            "print(sorted(set(sys.modules) - before))"
        ).format(place)
        subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
        """
    )

    assert training.stdout == "['primus_lens_wandb_exporter', 'primus_lens_wandb_exporter.wandb_hook']\n"


def test_loader_spec_and_resources_of_wandb_stay_real(trainer: Trainer) -> None:
    trainer.run(
        """
        import importlib.machinery, importlib.util, inspect, pkgutil, sys
        assert importlib.util.find_spec("wandb").name == "wandb"
        assert "wandb" not in sys.modules, "a probe is not an import"
        import wandb
        assert wandb._primus_lens_patched is True
        assert type(wandb.__spec__.loader) is importlib.machinery.SourceFileLoader
        assert wandb.__loader__ is wandb.__spec__.loader
        assert "exec_module" not in vars(wandb.__loader__)
        assert inspect.getsource(wandb).startswith(open(wandb.__file__).read(50))
        assert pkgutil.get_data("wandb", "__init__.py")
        if sys.version_info >= (3, 9):
            import importlib.resources
            assert (importlib.resources.files("wandb") / "__init__.py").is_file()
        """
    )


def test_a_probe_patches_nothing_and_the_import_after_it_does(trainer: Trainer) -> None:
    trainer.run(
        """
        import importlib.util, sys
        spec = importlib.util.find_spec("wandb")
        assert "primus_lens_wandb_exporter.interceptor" not in sys.modules
        module = importlib.util.module_from_spec(spec)
        sys.modules["wandb"] = module
        spec.loader.exec_module(module)
        assert module._primus_lens_patched is True
        """
    )


def test_a_lazily_loaded_wandb_is_patched_when_it_is_loaded(trainer: Trainer) -> None:
    trainer.run(
        """
        import importlib.util, sys
        spec = importlib.util.find_spec("wandb")
        spec.loader = importlib.util.LazyLoader(spec.loader)
        wandb = importlib.util.module_from_spec(spec)
        sys.modules["wandb"] = wandb
        spec.loader.exec_module(wandb)
        assert "primus_lens_wandb_exporter.interceptor" not in sys.modules
        assert callable(wandb.init)
        assert wandb._primus_lens_patched is True
        """
    )


def test_a_reload_is_patched_again_and_once(trainer: Trainer) -> None:
    trainer.run(
        """
        import importlib, wandb
        from wandb.sdk.wandb_run import Run
        importlib.reload(wandb)
        assert wandb._primus_lens_patched is True
        for function in (wandb.init, vars(Run).get("_log", Run.log), Run.finish):
            assert getattr(function, "_primus_lens_wrapped")
            assert not getattr(function.__wrapped__, "_primus_lens_wrapped", False)
        """
    )


def test_wandbs_run_folder_in_the_working_directory_is_left_alone(trainer: Trainer) -> None:
    (trainer.directory / "wandb" / "run-1").mkdir(parents=True)
    training = trainer.run(
        """
        import sys
        sys.path[:] = [""]
        import wandb
        assert wandb.__file__ is None
        assert not hasattr(wandb, "_primus_lens_patched")
        assert "primus_lens_wandb_exporter.interceptor" not in sys.modules
        """
    )
    assert training.stderr == ""


def test_a_module_that_is_not_wandb_is_left_alone_with_one_line(trainer: Trainer) -> None:
    (trainer.directory / "wandb.py").write_text("def init(): return 'mine'\n__version__ = '9.9'\n")
    training = trainer.run(
        "import wandb\nassert wandb.init() == 'mine'\nassert not hasattr(wandb, '_primus_lens_patched')"
    )

    (line,) = training.stderr.splitlines()
    assert "Primus Lens" in line
    assert "9.9" in line
    assert "wandb.py" in line


def test_a_failing_import_of_wandb_fails_as_without_the_hook(trainer: Trainer) -> None:
    (trainer.directory / "wandb.py").write_text("raise ImportError('no wandb today')\n")
    training = trainer.run(
        """
        for _ in range(2):
            try:
                import wandb
            except ImportError as error:
                print(error)
        """
    )
    assert training.stdout.splitlines() == ["no wandb today"] * 2
    assert training.stderr == ""


def test_a_missing_wandb_is_missing(trainer: Trainer) -> None:
    trainer.run(
        """
        import sys
        sys.path[:] = []
        sys.path_importer_cache.clear()
        sys.meta_path[:] = [finder for finder in sys.meta_path if hasattr(finder, "is_primus_lens_finder")]
        try:
            import wandb
        except ModuleNotFoundError as error:
            assert error.name == "wandb"
        else:
            raise AssertionError("found")
        """
    )


def test_another_hook_that_looks_wandb_up_by_itself_does_not_recurse(trainer: Trainer) -> None:
    trainer.run(
        """
        import importlib.util, sys
        class Nosy:
            def find_spec(self, name, path=None, target=None):
                if name == "wandb":
                    sys.meta_path.remove(self)
                    try:
                        return importlib.util.find_spec(name)
                    finally:
                        sys.meta_path.insert(0, self)
        sys.meta_path.insert(0, Nosy())
        import wandb
        assert wandb._primus_lens_patched is True
        """
    )


def test_two_threads_that_import_wandb_at_once_see_it_patched(trainer: Trainer) -> None:
    trainer.run(
        """
        import threading
        seen = []
        def work():
            import wandb
            seen.append(wandb._primus_lens_patched)
        threads = [threading.Thread(target=work) for _ in range(8)]
        [t.start() for t in threads]
        [t.join(60) for t in threads]
        assert seen == [True] * 8
        """
    )


def test_installing_the_hook_again_changes_nothing(trainer: Trainer) -> None:
    trainer.run(
        """
        import importlib, sys
        import primus_lens_wandb_exporter.wandb_hook as hook
        before = list(sys.meta_path)
        hook.install_wandb_hook()
        importlib.reload(hook).install_wandb_hook()
        assert sys.meta_path == before
        import wandb
        original = wandb.init.__wrapped__
        hook.install_wandb_hook()
        assert wandb.init.__wrapped__ is original
        """
    )


def test_a_wandb_in_a_zip_file_is_patched(trainer: Trainer, tmp_path: Path) -> None:
    """Zip importers serve many modules with one loader, which must stay usable for the others."""
    import zipfile

    stub = {
        "wandb/__init__.py": "from wandb.sdk import wandb_run\ninit = wandb_run.Run\nimport wandb.other\n",
        "wandb/other.py": "x = 1\n",
        "wandb/sdk/__init__.py": "",
        "wandb/sdk/wandb_run.py": "class Run:\n    def log(self, data): pass\n    def finish(self): pass\n",
        "second.py": "y = 2\n",
    }
    with zipfile.ZipFile(tmp_path / "stub.zip", "w") as archive:
        for name, source in stub.items():
            archive.writestr(name, source)
    trainer.run(
        """
        import sys, zipimport
        sys.path.insert(0, "stub.zip")
        import wandb, second
        assert isinstance(wandb.__loader__, zipimport.zipimporter)
        if sys.version_info >= (3, 10):  # before, the loader is written in C or has no exec_module
            assert wandb._primus_lens_patched is True
        assert second.y == 2 and wandb.other.x == 1
        """
    )
