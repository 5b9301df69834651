"""Go's text/template, as far as specs may use it: one engine for who checks and who fills in.

    text = expand("{{.Service.Name}}-{{.Task.Slot}}", context(task, node))

    container      a container spec with its templates filled in
    task_context   what templates of a task see
    run            a parsed template filled in with values
    syntax         text to tree; lexer cuts it up, literals are read, tree is what comes of it
    functions      what templates can call; printf is one of them
    values         strings, numbers, maps and structs, and how they are shown
    scope          variables, which end with their block
    budget         the work that a template may make: a few lines could ask for years
    errors         TemplateError, with Go's sentences

Everything here is pure. A template that one manager accepts is one that every agent can fill in:
both ask this room, and unknown functions and variables are found before anything is filled in.
"""

from swarmd.api.templates.budget import Budget
from swarmd.api.templates.container import expand_container
from swarmd.api.templates.errors import TemplateError
from swarmd.api.templates.run import expand
from swarmd.api.templates.task_context import context
from swarmd.api.templates.values import Struct

__all__ = ["Budget", "Struct", "TemplateError", "context", "expand", "expand_container"]
