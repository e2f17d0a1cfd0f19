"""Memory that a call really takes, as torch's profiler sees it come and go."""

from __future__ import annotations

from torch.profiler import ProfilerActivity, profile


def most_allocated(work, *args):
    """The most bytes that a call holds at a time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recording:
        work(*args)
    events = [event for event in recording.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        most = max(most, alive)
    return most
