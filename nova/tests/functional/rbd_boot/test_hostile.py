# SPDX-License-Identifier: Apache-2.0

"""Images that would have Nova read other files, or are not what they say.

Glance looks into images, too, but not into those in a container, whose content
Nova then takes for a plain disk image all the same.
"""

import os
import re

from nova.tests.functional.rbd_boot import base
from nova.tests.functional.rbd_boot import matrix


class HostileImagesTest(base.BootTestCase):

    def make(self):
        """What the images are, by name: path and disk format."""
        secret = self.file(b'secret\n' * 9362, 'secret')
        backed = f'{self.dir}/backed.qcow2'
        base.qemu_img('create', '-q', '-f', 'qcow2', '-u', '-b', secret,
                      '-F', 'raw', backed, '64M')
        outside = f'{self.dir}/outside.qcow2'
        base.qemu_img('create', '-q', '-f', 'qcow2', '-o',
                      f'data_file={secret},data_file_raw=on', outside, '64M')
        raw = self.file(base.noise(4 * base.MiB), 'raw')
        qcow2 = self.qcow2(raw)
        sparse = f'{self.dir}/sparse.vmdk'
        base.qemu_img('convert', '-O', 'vmdk', '-o',
                      'subformat=monolithicSparse', raw, sparse)
        flat = f'{self.dir}/flat.vmdk'
        base.qemu_img('create', '-q', '-f', 'vmdk', '-o',
                      'subformat=monolithicFlat', flat, '64K')
        return {
            'qcow2 with a backing file': (backed, 'qcow2'),
            'qcow2 with a data file': (outside, 'qcow2'),
            'vmdk with a foreign extent': (
                self.foreign(sparse, 'monolithicFlat', secret), 'vmdk'),
            'vmdk, a bare descriptor of a foreign extent': (
                self.foreign(flat, 'monolithicFlat', secret), 'vmdk'),
            'qcow2 said to be raw': (qcow2, 'raw'),
            'qcow2 with a backing file said to be raw': (backed, 'raw'),
            'raw said to be qcow2': (raw, 'qcow2'),
            'raw said to be vmdk': (raw, 'vmdk'),
            'vmdk said to be qcow2': (sparse, 'qcow2'),
        }

    def foreign(self, path, kind, secret):
        """A copy of a vmdk file whose descriptor names another file."""
        with open(path, 'rb') as f:
            data = f.read()
        start = data.index(b'# Disk DescriptorFile')
        end = data.find(b'\0', start)
        end = len(data) if end < 0 else end
        text = data[start:end].decode()
        text = re.sub('createType=".*"', f'createType="{kind}"', text)
        text = re.sub(r'(?m)^RW (\d+) \w+ ".*$', f'RW 128 FLAT "{secret}" 0',
                      text)
        new = text.encode()
        # A descriptor inside of a file has a room of its own, with space.
        room = max(len(new), end - start)
        if start:
            self.assertEqual(b'\0' * 200, data[end:end + 200])
            room = end - start + 200
        return self.file(
            data[:start] + new.ljust(room, b'\0')[:room]
            + data[start + room:], f'foreign-{os.path.basename(path)}')

    def faults(self, images):
        """Try to boot each image; returns what the user is told, by name."""
        servers = {what: self.boot(image)
                   for what, image in images.items()}
        faults = {}
        for what, server in servers.items():
            fault = self.api.wait(server, 'ERROR')['fault']['message']
            faults[what] = fault.replace(server, 'SERVER')
            # Neither whole nor in part.
            self.assertFalse(
                os.path.exists(self.compute.cache_path(images[what])))
            self.assertFalse(os.path.exists(
                f'{self.compute.instances}/{server}/disk'))
            self.api.delete(server)
        return faults

    def test_refused_as_over_http(self):
        images = {what: self.upload(path, disk_format=disk_format,
                                    container_format='ovf')
                  for what, (path, disk_format) in self.make().items()}
        over_rbd = self.faults(images)
        for image in images.values():
            self.check_over_rbd(image)
        self.compute.reconfigure({'glance': {'enable_rbd_download': False}})
        over_http = self.faults(images)
        for image in images.values():
            self.assertEqual(1, self.bed.glance.downloads(image))
        self.assertEqual(over_http, over_rbd)
        for what, fault in over_rbd.items():
            self.evidence = [
                'ERROR, with the same words over RBD and over HTTP',
                'nothing in _base, no disk',
                'told to the user: ' + re.sub(images[what], 'IMAGE', fault)]
            self.record(matrix.HOSTILE, what)
