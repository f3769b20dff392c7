from functools import partial

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from plainshop.errors import problem

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def live() -> dict[str, str]:
    return {"status": "live"}


@router.get("/ready")
async def ready(request: Request) -> JSONResponse:
    # A thread and a connection of its own: busy routes must not make the app look dead.
    check = partial(request.app.state.readiness.problem)
    trouble = await anyio.to_thread.run_sync(check, limiter=request.app.state.health_threads)
    if trouble:
        request.app.state.readiness.doubt()
        return problem(503, trouble, {"Retry-After": "5"})
    return JSONResponse({"status": "ready"})
