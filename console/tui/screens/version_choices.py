"""Fills the dialog for an upgrade with the versions to choose from, while it is open already."""

import asyncio

from backends.errors import RolldeckError
from orchestrator.session.session import Session
from orchestrator.session.version_choices import VersionChoices, list_versions, merge
from widgets.dialogs.upgrade import UpgradeDialog


async def fill_versions(session: Session, dialog: UpgradeDialog) -> None:
    """Show the versions of earlier rollouts at once, then what the nodes can install; never raises."""
    log, running = session.work_log, session.versions.by_node.keys()
    try:
        # The whole journal is read; the console goes on meanwhile.
        installed = session.versions.find_installed(await asyncio.to_thread(log.known_versions))
        now_on = {node: installed[node] for node in running}
        earlier = await asyncio.to_thread(log.earlier_versions, now_on)
    except RolldeckError as error:
        earlier, problem = (), str(error)
    else:
        problem = ""
    dialog.show_versions(VersionChoices(earlier, problem), is_complete=False)
    try:
        nodes = (await session.load_all_nodes()).nodes
        listed, why = await list_versions(nodes)
    except RolldeckError as error:
        listed, why = None, str(error)
    dialog.show_versions(merge(listed, earlier, why or problem))
