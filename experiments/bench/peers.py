"""The environment of the peers: made once, apart from the user's own."""

import json
import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).parent
REQUIREMENTS = HERE / 'peer_requirements.txt'


def default_folder() -> pathlib.Path:
  """`emergence_jax/peers` in the user's cache folder."""
  cache = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  return pathlib.Path(cache) / 'emergence_jax' / 'peers'


def python(folder: str | None) -> pathlib.Path:
  """The peers' Python; its packages are pinned by peer_requirements.txt."""
  root = pathlib.Path(folder) if folder else default_folder()
  program = root / 'bin' / 'python'
  wanted, stamp = REQUIREMENTS.read_text(), root / 'requirements.txt'
  if not (stamp.exists() and stamp.read_text() == wanted):
    print(f'making the environment of the peers in {root} …', flush=True)
    venv.create(root, with_pip=True)
    subprocess.run(
      [program, '-m', 'pip', 'install', '-q', '-r', REQUIREMENTS], check=True
    )
    stamp.write_text(wanted)
  return program


def last_json(*command: str | pathlib.Path) -> dict:
  """Runs a command and reads the last line that it prints."""
  done = subprocess.run(
    [str(part) for part in command], capture_output=True, text=True
  )
  if done.returncode:
    sys.exit(f'{command} failed:\n{done.stderr[-2000:]}')
  return json.loads(done.stdout.strip().splitlines()[-1])
