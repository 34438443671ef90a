"""`edged keys new`: a mistake is answered in the project's words, not the validator's."""

from typer.testing import CliRunner

from edged.commands.keys import app


def test_unknown_scope_is_named_in_one_plain_sentence():
    refused = CliRunner().invoke(app, ["new", "shop", "--scope", "everything"])
    assert refused.exit_code == 2
    assert "'execute', 'report' or 'admin'" in refused.stderr
    assert "pydantic" not in refused.stderr
