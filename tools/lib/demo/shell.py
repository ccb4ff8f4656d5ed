# SPDX-License-Identifier: Apache-2.0

"""The shell of "tools/demo --shell", with the commands mistake and mend.

Both ask the process that has started the shell and all the servers.
"""

import json
import multiprocessing.connection
import signal
import subprocess
import sys
import threading

from demo import mistakes
from demo import playground

WELCOME = """
This shell is on a compute node with local disks. Its nova.conf, ceph.conf and
key are in the directory you are in, and Glance has an image "demo" in RBD.

    nova-image-download check demo          would a boot read it from RBD?
    nova-image-download fetch demo copy     download it as a boot does
    nova-image-download bench demo          RBD against HTTP
    mistake                                 ten mistakes to make, for check
    mend                                    put everything in order again

"ceph", "rbd" and "openstack" work too, as the administrator; there is no
manager, which "ceph df" would wait for. "exit" stops and removes everything.
"""


def run(place: playground.Playground) -> int:
    """Run a shell on the compute node until it ends.

    Commands come from the terminal, or else from standard input.

    :returns: its exit status
    """
    with multiprocessing.connection.Listener(place.socket) as listener:
        threading.Thread(target=_serve, args=(place, listener),
                         daemon=True).start()
        # Ctrl-C is the shell's, and what it runs.
        former = signal.signal(signal.SIGINT, lambda *args: None)
        try:
            return subprocess.run(
                ['bash', '--rcfile', f'{place.home}/.bashrc'],
                cwd=place.home, env=place.environment).returncode
        finally:
            signal.signal(signal.SIGINT, former)


def _serve(place: playground.Playground,
           listener: multiprocessing.connection.Listener) -> None:
    """Do what "mistake" and "mend" ask for."""
    while True:
        try:
            with listener.accept() as connection:
                connection.send_bytes(json.dumps(answer(
                    place, *json.loads(connection.recv_bytes()))).encode())
        except EOFError:
            continue
        except OSError:
            return


def answer(place: playground.Playground, name: str,
           *words: str) -> tuple[int, str]:
    """Do what one command asks for.

    :returns: its exit status, and what it prints
    """
    try:
        if name == 'mend':
            place.restore()
            return 0, 'Everything is in order again.'
        if not words:
            return 0, mistakes.overview()
        mistake = mistakes.find(words[0])
        if mistake is None:
            return 2, f'There is no mistake {words[0]!r}.\n' + (
                mistakes.overview())
        place.restore()
        mistake.make(place)
        return 0, mistake.story
    except Exception as e:
        return 1, f'It did not work: {e}'


def main(argv: list[str]) -> int:
    """Be "mistake" or "mend": ask the process of the playground."""
    socket, *words = argv
    with multiprocessing.connection.Client(socket) as connection:
        connection.send_bytes(json.dumps(words).encode())
        status, text = json.loads(connection.recv_bytes())
    print(text, file=sys.stderr if status else sys.stdout)
    return status


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
