# SPDX-License-Identifier: Apache-2.0

"""Stand-ins for the Ceph bindings of the RBD driver."""

import errno
import threading
import types
from unittest import mock

from nova.storage import rbd_utils
from nova import test


def exceptions(module, *names):
    """Return classes of exceptions by name, derived as in the bindings."""
    base = type('Error', (Exception,), {'__module__': module})
    return dict({name: type(name, (base,), {
        '__module__': module, 'errno': (
            errno.ENOENT if name.endswith('NotFound') else errno.EIO)})
        for name in names}, Error=base)


class Bindings:
    """Stand-ins for the two modules, which record what is done.

    :ivar calls: names of calls that open or close something, in order
    :ivar threads: the native threads they were made on, by name
    :ivar failures: exceptions to raise, by name of the call
    :ivar conf: the options of the client
    """

    def __init__(self):
        self.calls = []
        self.threads = {}
        self.failures = {}
        self.conf = {'rados_osd_op_timeout': '0',
                     'rados_mon_op_timeout': '0.000000'}
        self.conf_at_connect = None
        self.ioctx = self.stub('ioctx', close='ioctx.close')
        self.client = self.stub(
            'client', connect='connect', open_ioctx='open_ioctx',
            shutdown='shutdown', get_fsid='get_fsid')
        self.client.connect.side_effect = self.connect
        self.client.open_ioctx.return_value = self.ioctx
        self.client.get_fsid.return_value = 'fsid'
        self.client.conf_get.side_effect = self.conf.get
        self.client.conf_set.side_effect = self.conf.__setitem__
        self.image = self.stub('image', close='image.close', size='size')
        self.image.size.return_value = 42
        self.image.list_snaps.return_value = []
        self.rbd = self.stub('rbd', remove='remove', clone='clone')

        self.rados_module = types.SimpleNamespace(
            Rados=mock.Mock(side_effect=self.record('Rados', self.client)),
            **exceptions('rados', 'ObjectNotFound', 'TimedOut'))
        self.rbd_module = types.SimpleNamespace(
            RBD=mock.Mock(return_value=self.rbd),
            Image=mock.Mock(side_effect=self.record('Image', self.image)),
            RBD_FEATURE_LAYERING=1,
            **exceptions('rbd', 'ImageNotFound', 'ImageBusy',
                         'ImageHasSnapshots', 'PermissionError', 'Timeout'))

    def record(self, name, result=mock.DEFAULT):
        def call(*args, **kwargs):
            self.calls.append(name)
            self.threads[name] = threading.get_native_id()
            if name in self.failures:
                raise self.failures[name]
            return result
        return call

    def stub(self, name, **methods):
        stub = mock.Mock(name=name)
        for method, call in methods.items():
            getattr(stub, method).side_effect = self.record(call)
        return stub

    def connect(self, timeout):
        self.conf_at_connect = dict(self.conf)
        return self.record('connect')()


class BindingsTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.flags(group='libvirt', images_rbd_pool='vms', rbd_user='nova',
                   images_rbd_ceph_conf='/etc/ceph/a.conf',
                   rbd_connect_timeout=5)
        self.fake = Bindings()
        self.stub_out('nova.storage.rbd_utils.rados', self.fake.rados_module)
        self.stub_out('nova.storage.rbd_utils.rbd', self.fake.rbd_module)
        self.log = self.stdlog.logger
        self.driver = rbd_utils.RBDDriver(connect_timeout=5)

    def break_call(self, call, module, name):
        """Let a call fail, and return the class of the exception."""
        cls = getattr(getattr(self.fake, module + '_module'), name)
        self.fake.failures[call] = cls('it %s' % call)
        return cls
