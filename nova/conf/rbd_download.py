# SPDX-License-Identifier: Apache-2.0

"""Options of the direct RBD download, all in the ``[glance]`` group.

The four older ``rbd_*`` options and ``enable_rbd_download`` come before this
module and stay where they were defined, since deployment tools write them.
Their help is completed here, because what they do is decided by our code.
"""

from __future__ import annotations

from oslo_config import cfg

from nova.conf import glance

# Every Nova service reads every option when it starts, and ends if a value is
# refused, also where the feature is off. So a value out of range is brought
# into it, and one that is not known counts as the default.


class Clamped(cfg.types.Integer):
    """An integer that is brought into its range instead of being refused.

    :param least: the smallest value
    :param most: the greatest value, None for no limit
    """

    def __init__(self, least: int, most: int | None = None) -> None:
        super().__init__()
        self._least = least
        self._most = most

    def __call__(self, value):
        number = super().__call__(value)
        if number is None:
            return None
        number = max(self._least, number)
        return number if self._most is None else min(self._most, number)


class KnownOr(cfg.types.String):
    """One of several values; any other one counts as the first of them."""

    def __call__(self, value):
        try:
            return super().__call__(value)
        except ValueError:
            return next(iter(self.choices))


ALGORITHM_NOTE = """
The algorithm and the digest are those that Glance recorded when the image was
uploaded (``os_hash_algo`` and ``os_hash_value``), or the MD5 ``checksum`` of
images older than that."""

rbd_download_opts = [
    cfg.ListOpt('allowed_direct_url_schemes',
        default=['rbd'],
        help="""
URL schemes that nova-compute may read images from without the Image API.

This is the first of two gates. An image is read directly only when the scheme
of its location is listed here *and* the switch of that scheme is on.

Possible values:

* ``rbd`` (default): Ceph RBD snapshots, see
  :oslo.config:option:`glance.enable_rbd_download`.
* An empty value: every image comes over HTTP from the Image API.

Other schemes are ignored, with a warning in the log of nova-compute. Nova
before 2014 had an option of this name, with the value ``file``.

Related options:

* :oslo.config:option:`glance.enable_rbd_download`
"""),
    cfg.BoolOpt('rbd_download_fallback',
        default=True,
        help="""
Download over HTTP when an image cannot be read from RBD.

A fallback is never silent: one log line per download names the cause and the
remedy. HTTP is not tried where it cannot help: if the local disk is full,
read-only or broken, and if the cluster does not answer the reads of an image
that Glance keeps nowhere else. The build fails then, and is scheduled again.

Possible values:

* ``True`` (default): fall back to the Image API.
* ``False``: the download fails. Use it where a slow boot is worse than a
  failed one, or to prove that every image comes from RBD. An image with no
  location in RBD cannot be booted on this node then.

Related options:

* :oslo.config:option:`glance.enable_rbd_download`
"""),
    cfg.BoolOpt('rbd_download_verify_hash',
        default=True,
        help="""
Compare the bytes read from RBD with the digest that Glance recorded.
""" + ALGORITHM_NOTE + """ The digest is computed while the image is copied. A
mismatch discards the copy and the next location, or HTTP, is tried.

Possible values:

* ``True`` (default): verify. The speed of one core hashing, about 0.5 GB/s
  with SHA-512 on common machines, limits the download.
* ``False``: trust the cluster. The size is still compared.

An image that has no digest in Glance, as direct snapshots of RBD-backed
instances have none, is copied with its size checked only; the log says that
it was not verified.

Related options:

* :oslo.config:option:`glance.verify_glance_signatures` is independent of this
  option and also holds for images read from RBD.
"""),
    cfg.Opt('rbd_download_stall_timeout',
        type=Clamped(5),
        default=60,
        help="""
Seconds without any progress after which a download from RBD is given up.

The time counts from the last byte that arrived, so a slow cluster is waited
for as long as it moves. The process that reads the image is ended and another
location, or HTTP, is tried. A download over HTTP that brings nothing for that
long is given up as well, if both gates of direct downloads are open and
``[glance]/timeout`` is not set.

Possible values:

* Any integer from 5; a smaller one counts as 5. Choose it above the time
  that the cluster takes to
  notice a dead OSD and to serve its placement groups from another one, which
  is 20 to 30 seconds with Ceph's defaults.

Related options:

* :oslo.config:option:`glance.rbd_connect_timeout` bounds the connecting.
"""),
    cfg.Opt('rbd_download_inflight',
        type=Clamped(0, 128),
        default=0,
        help="""
Number of reads that a download from RBD keeps in flight.

More reads hide the latency of a busy or distant cluster and cost memory.

Possible values:

* 0 (default): up to 6.
* 1 to 128: at most this many. A greater number counts as 128.

Small images get fewer, and so does a cluster so slow that each read asks for 8
MiB.
"""),
    cfg.Opt('rbd_download_max_rate',
        type=Clamped(0),
        default=0,
        help="""
Highest rate in bytes per second at which one download reads from the cluster.

Parts of the image that RBD knows to be empty are not read and do not count.
Each download has this rate for itself.

Possible values:

* 0 (default): no limit.
* Any positive integer, for example ``262144000`` for 250 MiB/s.
"""),
    cfg.BoolOpt('rbd_download_require_image_id',
        default=True,
        help="""
Read only RBD images that carry the Glance image's own name.

Glance and Nova name an image in RBD by the Glance image id and its snapshot
``snap``. Whoever may write an image's locations could point them at any other
RBD image that the key of this node may read; with this option such a location
is refused.

Possible values:

* ``True`` (default): the RBD image must be named like the Glance image id and
  the snapshot must be ``snap``.
* ``False``: any name is read. Needed only for images whose locations were
  registered by hand.

Related options:

* :oslo.config:option:`glance.rbd_pool` limits the pools.
"""),
    cfg.Opt('rbd_read_from_replica',
        default='default',
        type=KnownOr(choices=[
            ('default', 'Read from the primary OSD of each object'),
            ('balance', 'Read from a random replica'),
            ('localize', 'Read from the replica nearest to this node, by the '
                         'crush_location in its ceph.conf')]),
        help="""
Which replica of an object a download reads.

A snapshot never changes, so every replica is as good as the primary one.
Sets ``rbd_read_from_replica_policy`` of librbd for the download only. Values
other than ``default`` need a cluster whose ``require_osd_release`` is octopus
or newer. A value that is not known counts as ``default``.
"""),
]

# What upstream's text leaves open, or what was not so before this module
# read the option.
_COMPLETED_HELP = {
    'enable_rbd_download': """
Read images directly from RBD instead of downloading them over HTTP.

For compute nodes that keep instance disks on local storage while Glance keeps
its images in Ceph. nova-compute copies the RBD snapshot of the image into its
image cache, verifies it and goes on as if it had come from the Image API.

This is the second of two gates; the first one is
:oslo.config:option:`glance.allowed_direct_url_schemes`.

The node needs a ``ceph.conf``, a cephx key that may read the pool of the
images (``mon 'allow r' osd 'profile rbd-read-only pool=images'``) and the
Python bindings ``rados`` and ``rbd``, for Nova's Python or the system's.
Locations are read with the ``[service_user]`` credentials; Glance need not
show them to users.

Possible values:

* ``True`` or ``False`` (default).

Related options:

* :oslo.config:option:`glance.allowed_direct_url_schemes`
* :oslo.config:option:`glance.rbd_user`
* :oslo.config:option:`glance.rbd_ceph_conf`
* :oslo.config:option:`glance.rbd_pool`
* :oslo.config:option:`glance.rbd_connect_timeout`
* :oslo.config:option:`glance.rbd_download_fallback`
* :oslo.config:option:`libvirt.images_type`: with ``rbd`` disks are cloned
  inside the cluster and this option should be off.
""",
    'rbd_user': """
Ceph client name, without ``client.``, that reads Glance images.

Possible values:

* A name, for example ``nova``.
* Empty (default): :oslo.config:option:`libvirt.rbd_user`, and if that is
  empty too, librados' own default.

Related options:

* :oslo.config:option:`glance.enable_rbd_download`
""",
    'rbd_connect_timeout': """
Seconds that connecting to the cluster, and each question to its monitors, may
take.

Possible values:

* A positive integer, 5 by default.
* 0: :oslo.config:option:`libvirt.rbd_connect_timeout`.

While the cluster cannot be reached, later downloads do not wait for it but
fall back at once; the cluster is tried again after a pause.

Related options:

* :oslo.config:option:`glance.enable_rbd_download`
* :oslo.config:option:`glance.rbd_download_stall_timeout` bounds the reading.
""",
    'rbd_pool': """
Pools that images may be read from.

Possible values:

* One pool name, or several with commas between them. A location in any other
  pool is refused.
* Empty (default): every pool that the Ceph user may read.

Related options:

* :oslo.config:option:`glance.enable_rbd_download`
* :oslo.config:option:`glance.rbd_download_require_image_id`
""",
    'rbd_ceph_conf': """
Path of the Ceph configuration file for reading Glance images.

Possible values:

* A path readable by the user that runs nova-compute.
* Empty (default): :oslo.config:option:`libvirt.images_rbd_ceph_conf`, and if
  that is empty too, librados' own search path.

Related options:

* :oslo.config:option:`glance.enable_rbd_download`
""",
}


def _complete_help():
    for opt in glance.glance_opts:
        opt.help = _COMPLETED_HELP.get(opt.name, opt.help)


_complete_help()


def register_opts(conf):
    """Add our options to the ``[glance]`` group.

    :param conf: the ``cfg.ConfigOpts`` to register them with; the group
        itself is registered by ``nova.conf.glance``
    """
    conf.register_opts(rbd_download_opts, group=glance.glance_group)


def list_opts():
    """Return our options for the sample file, as every nova.conf module."""
    return {glance.glance_group: rbd_download_opts}
