"""HAProxy with `nbproc`: several processes side by side, each with server states of its own. Pure."""

from collections.abc import Iterable

from backends.model import Info

_MAX_LISTED = 8  # numbers of processes in a message


def unreached_processes(infos: Iterable[Info]) -> dict[str, str]:
    """Load balancers whose changes would not reach every process that serves their clients.

    Processes of one HAProxy are known by the name of their machine. A process that stands in the
    configuration twice counts once; of two HAProxy on one machine each process must be there twice.

    Args:
        infos: of all load balancers of an application.

    Returns:
        Why a change would not reach all of them and what helps, by load balancer.
    """
    machines: dict[tuple[str, int], list[Info]] = {}
    for info in infos:
        if info.processes > 1:
            machines.setdefault((info.node, info.processes), []).append(info)
    return {
        info.instance: problem
        for known in machines.values()
        if (problem := _problem(known))
        for info in known
    }


def _problem(known: list[Info]) -> str:
    total = known[0].processes
    numbers = list({info.pid: info.process for info in known}.values())
    copies = max(numbers.count(number) for number in numbers)
    missing = [number for number in range(1, total + 1) if numbers.count(number) < copies]
    if not missing:
        return ""
    listed = ", ".join(map(str, missing[:_MAX_LISTED])) + (", ..." if len(missing) > _MAX_LISTED else "")
    return (
        f"HAProxy runs {total} processes (nbproc) and each has its own server states, but process {listed}"
        f" of {known[0].node or 'this machine'} is not in the configuration: a change would not reach it."
        " Give each process a socket of its own (`stats socket PATH level admin process NUMBER`) and each"
        " socket a table [haproxy.NAME], or use threads (nbthread) instead of nbproc"
    )
