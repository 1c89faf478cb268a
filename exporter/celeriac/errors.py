"""The project's own errors, worded for the person on call; none carries a password."""


class CeleriacError(Exception):
    """Something Celeriac can say in one line."""


class ConfigurationError(CeleriacError):
    """An option or a file is unusable; the message names it and never shows its value."""

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}")
        self.option = option
        self.problem = problem


class BrokerError(CeleriacError):
    """The broker did not do what was asked."""


class BrokerUnavailableError(BrokerError):
    """The broker cannot be reached: check that it runs, its address and the network between."""


class BrokerRefusedError(BrokerError):
    """The broker answered and said no: check user, password, permissions and virtual host."""
