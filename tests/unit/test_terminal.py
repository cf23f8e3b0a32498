"""How a command ends."""

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
