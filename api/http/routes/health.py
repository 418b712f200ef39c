"""Is the server there, and can it answer?"""

from fastapi import APIRouter

from api.http.models.health import Health

router = APIRouter(tags=["server"])


@router.get("/health")
async def health() -> Health:
    """Say that the process runs. Needs no key and reads nothing."""
    return Health(status="ok")
