"""Files of a model hub's repositories: from the local cache, else by one download that fails fast.

Left alone, huggingface_hub retries each file five times: 24 s against a closed port and minutes against a silent
one, and open_clip does that for two or three files. So the hub is asked once, briefly, whether it is there.
"""

from pathlib import Path

from retrieval.errors import UnknownModel, WeightsUnavailable

ANSWER_SECONDS = 5.0

NO_DOWNLOAD_HINT = (
    "the built-in model `starter` needs no download; or copy open_clip_config.json and open_clip_model.safetensors "
    "from a machine that has them into a folder and give that folder as the model"
)


def cached(repo: str, filename: str) -> Path | None:
    """Where the file lies in the local hub cache, or None. Touches no network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, filename)
    return Path(found) if isinstance(found, str) else None


def fetch(repo: str, filename: str) -> Path:
    """A local copy of a repository's file; downloads it when the cache has none.

    Raises WeightsUnavailable within seconds when the hub cannot be reached (or HF_HUB_OFFLINE forbids it) or the
    repository lacks the file, and UnknownModel when there is no such repository.
    """
    import huggingface_hub as hub
    from huggingface_hub import errors

    where = f"{filename} of {repo}"
    try:
        found = cached(repo, filename)
        if found is not None:
            return found
        hub.get_hf_file_metadata(hub.hf_hub_url(repo, filename), timeout=ANSWER_SECONDS)
        return Path(hub.hf_hub_download(repo, filename))
    except errors.OfflineModeIsEnabled as error:
        raise WeightsUnavailable(
            f"{where} is not in the local cache, and HF_HUB_OFFLINE forbids a download",
            hint=f"unset HF_HUB_OFFLINE; {NO_DOWNLOAD_HINT}",
        ) from error
    except errors.GatedRepoError as error:
        raise WeightsUnavailable(
            f"{where} is not in the local cache, and the hub gives it out only to registered users",
            hint=f"accept its terms on the hub and run `hf auth login`; {NO_DOWNLOAD_HINT}",
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UnknownModel(f"the hub has no public model {repo!r}", hint="`catalens models` lists good ones") from error
    except errors.EntryNotFoundError as error:
        if isinstance(error, errors.LocalEntryNotFoundError):  # the connection broke between question and download
            raise _unreachable(where, error) from error
        raise WeightsUnavailable(
            f"{repo} has no {filename}; pickled weights are not loaded, because a pickle can run any code",
            hint=NO_DOWNLOAD_HINT,
        ) from error
    except Exception as error:  # the HTTP library differs between hub versions, and so do its errors
        raise _unreachable(where, error) from error


def _unreachable(where: str, error: Exception) -> WeightsUnavailable:
    from huggingface_hub import constants

    reason = (str(error) or type(error).__name__).splitlines()[0]
    return WeightsUnavailable(
        f"{where} is not in the local cache and could not be fetched from {constants.ENDPOINT}: {reason}",
        hint=NO_DOWNLOAD_HINT,
    )
