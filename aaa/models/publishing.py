"""A folder as a data set on the Hugging Face Hub, by `huggingface_hub`: created where it is not there, one
commit.

The token is the user's own (`HF_TOKEN`, or what `hf auth login` keeps) and stays with the library. Left out:
what is in the folder, and taking anything away that is there already.
"""

import importlib
import os
from pathlib import Path
from typing import Any

import httpx

from aaa.errors import InputError, SetupError
from aaa.models.redact import brief


def publish(folder: Path, repo: str, *, private: bool, message: str) -> str:
    """Upload it; the address of the commit. Raises `InputError` for a name, `SetupError` for all else."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub as hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    try:
        api = hub.HfApi()
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, repo_type="dataset", folder_path=folder, commit_message=message
        )
    except HFValidationError as error:
        raise InputError(f"push-to-hub {repo!r}: a data set's name is OWNER/NAME") from error
    except LocalTokenNotFoundError as error:
        raise SetupError("the Hugging Face Hub wants a token: set HF_TOKEN") from error
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise SetupError(
            f"the Hugging Face Hub did not take {repo!r}: {brief(str(error) or repr(error))}. "
            f"The folder is whole at {str(folder)!r}; HF_TOKEN must be one that may write"
        ) from error
    return str(done.commit_url)


def check_name(repo: str) -> None:
    """Raises `InputError` for a name that no data set can have."""
    utils: Any = importlib.import_module("huggingface_hub.utils")
    try:
        utils.validate_repo_id(repo)
    except utils.HFValidationError as error:
        raise InputError(f"push-to-hub {repo!r}: a data set's name is OWNER/NAME") from error
    if repo.count("/") != 1:
        raise InputError(f"push-to-hub {repo!r}: a data set's name is OWNER/NAME")
