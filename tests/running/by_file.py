"""pytest-xdist's ``--dist loadfile`` that goes on when workers die in their tests.

xdist 3.8.0 (see #1371, #1378 and #1327 there) runs such a test again until no worker is left, gives out files
again that are done, lets a new worker wait for ever for a second test, and gives tests to one that collects.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


class ByFile(LoadFileScheduling):
    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test in which a worker has died, and give its others to the rest."""
        files = self.assigned_work[node]
        left = [test for tests in files.values() for test, done in tests.items() if not done]
        died_in = left[0] if left else None
        others = {
            file: {test: done for test, done in tests.items() if not done and test != died_in}
            for file, tests in files.items()
        }
        self.assigned_work[node] = {file: tests for file, tests in others.items() if tests}
        super().remove_node(node)
        return died_in

    def schedule(self) -> None:
        """Give each worker tests.

        A worker begins a test once it knows the next one, or that there is none: the second call tells it.
        """
        super().schedule()
        super().schedule()

    def _reschedule(self, node: WorkerController) -> None:
        if node in self.registered_collections:
            super()._reschedule(node)
