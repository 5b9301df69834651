"""What filling in may cost: templates come from users, and loops in loops could go on for years.

Both limits are far above what a spec needs, and low enough that nobody waits for a second.
"""

from typing import Final

from swarmd.api.templates.errors import TemplateError

_STEPS: Final = 50_000
_CHARACTERS: Final = 8_000_000


class Budget:
    """What is left of the steps to take and of the characters to handle."""

    def __init__(self, steps: int = _STEPS, characters: int = _CHARACTERS) -> None:
        self._steps = self._all_steps = steps
        self._characters = self._all_characters = characters

    def step(self) -> None:
        """Raises TemplateError once all steps are taken."""
        self._steps -= 1
        if self._steps < 0:
            raise TemplateError(
                f"template: expansion: it takes more than {self._all_steps} steps to fill in"
            )

    def spend(self, characters: int) -> None:
        """Raises TemplateError once all characters are spent."""
        self._characters -= characters
        if self._characters < 0:
            raise TemplateError(
                f"template: expansion: it handles more than {self._all_characters} characters"
            )
