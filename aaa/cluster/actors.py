"""Every call to Ray: starting, finding and stopping actors, and asking a seat from inside a runner."""

import asyncio
import contextlib
from typing import Any

from aaa.asking import Wish
from aaa.cluster.line import Granted, RunnerEnd, SeatGone
from aaa.cluster.plan import Action, Desired, Kind
from aaa.cluster.runner import Runner
from aaa.cluster.seat import Seat
from aaa.logs import set_up_actor
from aaa.settings import Settings, read_settings

UNBOUNDED = 100_000  # calls an async actor takes at once; what bounds them is ours (slots, room)


class RunnerActor:
    """`Runner` as Ray runs it: its seats are found by name, in this namespace."""

    def __init__(self, name: str, database_url: str, lease_s: float) -> None:
        set_up_actor(read_settings(), name)
        self._handles: dict[str, Any] = {}
        self._lines: dict[str, RunnerEnd] = {}
        self._runner = Runner(name, database_url, self._ask, lease_s=lease_s)

    async def run(self) -> None:
        await self._runner.run()

    async def stop(self) -> int:
        return await self._runner.stop()

    async def _ask(self, seat: str, wish: Wish) -> Granted:
        """Ask a seat by name."""
        if seat not in self._lines:
            name = self._runner.name
            self._lines[seat] = RunnerEnd(
                lambda wishes, got, everything: self._call(
                    seat, "ask", name, wishes, got, everything
                ),
                lambda got: self._call(seat, "fetch", name, got),
                lambda: self._runner.stopping,
            )
        return await self._lines[seat](wish)

    async def _call(self, seat: str, method: str, *arguments: object) -> Any:
        """Call a seat's method. Raises `SeatGone`."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            if seat not in self._handles:
                self._handles[seat] = ray.get_actor(seat)
            return await getattr(self._handles[seat], method).remote(*arguments)
        except RayTaskError:  # the seat's own: it is there
            raise
        except (ValueError, RayError) as error:
            self._handles.pop(seat, None)
            raise SeatGone(str(error)) from error


class Actors:
    """The seats and runners of one supervisor's cluster."""

    def __init__(self, ray: Any, settings: Settings, database_url: str) -> None:
        self._ray = ray
        self._settings = settings
        self._database_url = database_url
        self._lifetime = "detached" if settings.ray_address else None
        self._handles: dict[str, Any] = {}
        self._kinds: dict[str, Kind] = {}
        self._working: dict[str, Any] = {}

    def adopt(self) -> None:
        """Know the actors that an earlier supervisor left on this cluster, as if started here."""
        for name in self._ray.util.list_named_actors():
            self._adopt(name)

    def _adopt(self, name: str) -> None:
        """Know the actor of that name, if there is one; by the handle that made it, for it ends with that."""
        try:
            actor = self._ray.get_actor(name)
        except ValueError:
            self._forget(name)
            return
        mine = self._handles.get(name)
        kind: Kind = "seat" if name.startswith("seat-") else "runner"
        self._keep(name, kind, mine if mine == actor else actor)

    def running(self) -> dict[str, Kind]:
        """Actor name -> kind, of those that live or are being restarted by Ray; others are forgotten."""
        for name, reference in list(self._working.items()):
            done, _ = self._ray.wait([reference], timeout=0, fetch_local=False)
            if done:
                self._ended(name)
        return dict(self._kinds)

    def _ended(self, name: str) -> None:
        """See to an actor whose long call ended: one that was told to stop makes room for a new one."""
        try:
            self._ray.get(self._working[name])
        except Exception:  # noqa: BLE001 (it died or could not open: the call begins again, if it still is)
            self._adopt(name)
        else:
            self._stop(name)

    def _forget(self, name: str) -> Any:
        """The actor's handle, known no longer; `None` where there is none."""
        self._kinds.pop(name, None)
        self._working.pop(name, None)
        return self._handles.pop(name, None)

    def do(self, action: Action, desired: Desired) -> None:
        """Carry out one action."""
        name = action.name
        if action.do == "stop":
            self._stop(name)
        elif action.kind == "seat":
            make = self._actor(Seat, name).remote
            actor = make(desired.seats[name], self._settings, self._database_url)
            self._keep(name, "seat", actor)
        else:
            make = self._actor(RunnerActor, name).remote
            self._keep(name, "runner", make(name, self._database_url, self._settings.lease_s))

    def _actor(self, what: type, name: str) -> Any:
        """Named, restarted by Ray when it dies, its calls never repeated by Ray."""
        return self._ray.remote(what).options(
            name=name,
            get_if_exists=True,
            lifetime=self._lifetime,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=UNBOUNDED,
            scheduling_strategy="SPREAD",
        )

    def _keep(self, name: str, kind: Kind, actor: Any) -> None:
        """Know an actor, and begin the call that lasts as long as it works."""
        self._handles[name] = actor
        self._kinds[name] = kind
        self._working[name] = actor.run.remote()

    def _stop(self, name: str) -> None:
        actor = self._forget(name)
        if actor is not None:
            with contextlib.suppress(Exception):
                self._ray.kill(actor, no_restart=True)

    async def drain(self, within_s: float) -> None:
        """Have seats begin nothing and runners give back what they drive, for so long; then end all."""
        stops = [
            self._handles[n].stop.remote() if kind == "runner" else self._handles[n].close.remote()
            for n, kind in self._kinds.items()
        ]
        with contextlib.suppress(Exception):
            await asyncio.wait_for(asyncio.gather(*stops), within_s)
        for name in list(self._kinds):
            self._stop(name)
