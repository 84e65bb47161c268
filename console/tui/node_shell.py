"""A shell on a node from within the console, which steps aside meanwhile and comes back afterwards."""

from textual.app import App, SuspendNotSupported
from textual.dom import DOMNode

from backends.errors import RolldeckError
from backends.text import visible
from orchestrator.node import Node
from orchestrator.session.session import Session


def find_node(session: Session, name: str) -> Node | None:
    """Return a node by its name; None for a server of HAProxy that is no node."""
    return next((node for node in session.application.nodes if node.name == name), None)


async def open_node_shell(screen: DOMNode, session: Session, name: str) -> None:
    """Open a shell on a node on the console's terminal; what goes wrong is a notification.

    The console goes on reading while the shell is open, and paints nothing.
    """
    node = find_node(session, name)
    app = screen.app
    if node is None:
        app.notify(f"{visible(name)} is a server of HAProxy, and no node that Rolldeck knows", markup=False)
        return
    from console.terminal.shell import open_shell

    try:
        await node.host.connect()  # before anything is seen of it
        failure: Exception | None = None
        with app.suspend():
            try:
                await open_shell(session, node)
            except Exception as error:  # Textual would not come back after one that leaves this block
                failure = error
        if failure is not None:
            raise failure
    except SuspendNotSupported:
        app.notify("a shell cannot be opened on this terminal", severity="error", markup=False)
    except (RolldeckError, OSError) as error:
        _say_failure(app, name, error)


def _say_failure(app: App[object], name: str, error: Exception) -> None:
    text = error.beside(name) if isinstance(error, RolldeckError) else str(error)
    app.notify(f"{visible(name)}: {visible(text)}", severity="error", markup=False, timeout=12)
