"""How a command ends."""

import sys

import pytest
import typer

from workers.cli.terminal import Exit, run


def test_ctrl_c_has_an_exit_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Also when it comes where no command runs yet, or none any more."""

    class Interrupted(typer.Typer):
        def __call__(self, *_: object, **__: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run(Interrupted())
    assert ended.value.code == Exit.STOPPED
    assert capsys.readouterr().err == "stopped by Ctrl-C\n"


def test_a_command_that_ctrl_c_stopped_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typer alone ends without a word; a command that ends with that code by itself was not stopped."""
    app = typer.Typer()

    @app.command()
    def stopped(*, by_itself: bool = False) -> None:
        if by_itself:
            raise typer.Exit(Exit.STOPPED)
        raise KeyboardInterrupt

    for arguments, said in (([], "stopped by Ctrl-C\n"), (["--by-itself"], "")):
        monkeypatch.setattr(sys, "argv", ["stopped", *arguments])
        with pytest.raises(SystemExit) as ended:
            run(app)
        assert ended.value.code == Exit.STOPPED
        assert capsys.readouterr().err == said
