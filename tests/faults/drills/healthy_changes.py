"""What every cluster goes through, and nobody is told of."""

from __future__ import annotations

from drills.scene import Scene


def restart_workers_in_turn(scene: Scene) -> None:
    for worker in scene.workers:
        worker.child.terminate()
        scene.start_again(worker)
        # A start takes seconds, which are minutes here: two without a break would be too many.
        scene.settle()


def deploy_exporter(scene: Scene) -> None:
    scene.exporter.child.terminate()
    scene.exporter.start()


def grow_and_shrink(scene: Scene) -> None:
    control = scene.load.app.control
    control.pool_grow(4)
    scene.exporter.wait_for_value("celery_worker_pool_processes", 6, worker=scene.one.node)
    control.pool_shrink(4)


HEALTHY_CHANGES = (restart_workers_in_turn, deploy_exporter, grow_and_shrink)
