"""What is wrong with a template."""


class TemplateError(ValueError):
    """The template is at fault, at parsing or when filled in."""
