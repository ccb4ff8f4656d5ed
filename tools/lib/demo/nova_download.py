# SPDX-License-Identifier: Apache-2.0


"""Download images with Nova's code, as nova-compute does for a boot.

    python tools/lib demo.nova_download CONF RESULT IMAGE_ID PATH ...

A process of its own for each measurement, run by the Python of the Nova that
is measured, ours or upstream's. Several images are downloaded at once.
Whether eventlet is used is for OS_NOVA_DISABLE_EVENTLET_PATCHING to say;
DOWNLOAD_CONTEXT has the request context, as JSON.

RESULT is a file to be made, with a JSON object: the "seconds" that it took,
without the start of this program, the "cpu_seconds" of it and its children,
the "largest_gap" in seconds of something in this process that wants to run
every 10 ms meanwhile, the same without the time for which other processes had
all processors, "largest_blocked", and the "version" of Nova.

Before that, the image of DOWNLOAD_WARM_UP is downloaded, if it is set: what a
process does once, as loading modules, is no part of a download.
"""

import json
import os
import resource
import runpy
import sys
import threading
import time

from patchset import CHECKOUT

# Upstream's Nova has no test bed, and this file needs nothing of it.
TICKER = str(CHECKOUT / 'nova' / 'tests' / 'testbed' / 'ticker.py')


def cpu() -> float:
    """Processor seconds of this process and its children so far."""
    return sum(usage.ru_utime + usage.ru_stime for usage in (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN)))


def download(conf: str, images: list[tuple[str, str]]) -> dict[str, object]:
    """Download images at once.

    :param conf: path of Nova's configuration
    :param images: their ids, and the paths of the new files
    :returns: what goes into the file with the result
    :raises Exception: the first one that a download raised
    """
    from nova import monkey_patch
    monkey_patch.patch()
    import nova.conf
    from nova import config
    from nova import context as nova_context
    from nova import version
    from nova.virt import images as nova_images
    from oslo_log import log
    config.parse_args(['demo', '--config-file', conf], configure_db=False,
                      init_rpc=False)
    log.setup(nova.conf.CONF, 'nova')
    context = nova_context.RequestContext.from_dict(
        json.loads(os.environ.pop('DOWNLOAD_CONTEXT')))
    errors: list[Exception] = []

    def fetch(image_id: str, path: str) -> None:
        try:
            nova_images.fetch_to_raw(context, image_id, path)
        except Exception as exc:
            errors.append(exc)

    warm_up = os.environ.pop('DOWNLOAD_WARM_UP', '')
    if warm_up:
        fetch(warm_up, images[0][1] + '.warm-up')
        os.unlink(images[0][1] + '.warm-up')
    start, cpu_start = time.monotonic(), cpu()
    with runpy.run_path(TICKER)['Ticker']() as ticks:
        threads = [threading.Thread(target=fetch, args=image)
                   for image in images]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - start
    if errors:
        raise errors[0]
    return {'seconds': seconds, 'cpu_seconds': cpu() - cpu_start,
            'largest_gap': max(ticks.gaps),
            'largest_blocked': max(ticks.blocked),
            'version': version.version_string()}


def main(argv: list[str]) -> None:
    """The program."""
    conf, result, *rest = argv
    told = download(conf, list(zip(rest[::2], rest[1::2])))
    with open(result + '.new', 'w') as f:
        json.dump(told, f)
    os.rename(result + '.new', result)


if __name__ == '__main__':
    main(sys.argv[1:])
