"""The reader of the versions that run on the nodes of the application that is shown."""

from orchestrator.session.session import Session

VERSION_POLL_INTERVAL_S = 15.0  # between two polls of the running versions
VERSION_BATCH_NODES = 8  # a node costs 5 ms
VERSION_BATCH_INTERVAL_S = 2.0  # between two batches


async def poll_versions(session: Session) -> None:
    """Poll running versions in small batches, so that thousands of nodes do not block the console."""
    while True:
        nodes = session.application.nodes
        for first in range(0, len(nodes), VERSION_BATCH_NODES):
            await session.versions.read(nodes[first : first + VERSION_BATCH_NODES])
            if first + VERSION_BATCH_NODES < len(nodes):
                await session.clock.sleep(VERSION_BATCH_INTERVAL_S)
        await session.clock.sleep(VERSION_POLL_INTERVAL_S)
