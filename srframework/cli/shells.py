"""The scripts of bash and zsh that ask for completions: click's, with what keys such as ``seed=`` need."""

from __future__ import annotations

import os

from click.core import Command
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ZshComplete,
    add_completion_class,
    shell_complete,
    split_arg_string,
)

VARIABLE = "_SRFRAMEWORK_COMPLETE"
"""The variable of click's scripts."""


class Bash(BashComplete):
    """click's completion for bash, for words with ``=``.

    After a value that one continues to type, ``seed=`` or ``runs/``, there is no space. bash splits a word at each
    ``=`` and replaces only the last part: the parts are joined here, and the answer has only what follows the ``=``.
    """

    name = "bash"
    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", "COMPREPLY+=($value); [[ $value == *[=/] ]] && compopt -o nospace"
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the last one, and the last one."""
        words, last = split_arg_string(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
        joined: list[str] = []
        after_equals = False
        for word in words[: last + 1]:
            if joined and (word == "=" or after_equals):
                joined[-1] += word
            else:
                joined.append(word)
            after_equals = word == "="
        if last >= len(words) and not after_equals:
            joined.append("")
        return joined[1:-1], joined[-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return the completions, each without the part that bash keeps."""
        found = super().get_completions(args, incomplete)
        typed = incomplete.partition("=")[2] if incomplete.startswith("-") else incomplete
        key, equals, _ = typed.rpartition("=")
        if "=" not in split_arg_string(os.environ["COMP_WORDS"]):
            return found  # this bash does not split at '='
        return [CompletionItem(each.value.removeprefix(key + equals), type=each.type) for each in found]


class Zsh(ZshComplete):
    """click's completion for zsh, without the space after a value that one continues to type."""

    name = "zsh"
    source_template = (
        ZshComplete.source_template.replace("local -a response\n", "local -a response open open_lines\n")
        .replace(
            'if [[ "$type" == "plain" ]]; then',
            'if [[ "$type" == "plain" && "$key" == *[=/] ]]; then\n'
            '            open+=("$key")\n'
            '            open_lines+=("$key${${descr:#_}:+ -- $descr}")\n'
            '        elif [[ "$type" == "plain" ]]; then',
        )
        .replace(
            '    if [ -n "$completions" ]; then',
            '    if [ -n "$open" ]; then\n'
            "        compadd -U -S '' -l -d open_lines -V unsorted -a open\n"
            "    fi\n\n"
            '    if [ -n "$completions" ]; then',
        )
    )


def respond(cli: Command) -> int | None:
    """Print what the shell asks for, and return the exit code; None if this is no request of a shell."""
    instruction = os.environ.get(VARIABLE)
    if not instruction:
        return None
    add_completion_class(Bash)
    add_completion_class(Zsh)
    return shell_complete(cli, {}, "srframework", VARIABLE, instruction)
