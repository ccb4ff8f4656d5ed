# SPDX-License-Identifier: Apache-2.0

"""The ways in which a node may be configured for Ceph, for a test of each.

A row is what the files on the node hold, and the code of the cause that has to
be told, by what the codes of nova/storage/rbd_export/errors.py mean.
"""

import dataclasses

#: Names the file that the tests append what they found to.
VARIABLE = 'NOVA_CONFIG_VARIANTS'

# As "ceph config generate-minimal-conf" writes it.
MINIMAL = ('# minimal ceph.conf for {fsid}\n'
           '[global]\n'
           '\tfsid = {fsid}\n'
           '\tmon_host = [v2:{v2}/0,v1:{v1}/0]\n')
NAMED = MINIMAL + '\tkeyring = {keyring}\n'
KEYRING = '[client.nova]\n\tkey = {key}\n'

# A key of a kind that Ceph 16 does not know, as later releases make them.
NEWER_KEY = 'AgBAXnNqAAAAACAA' + 'q6urq6urq6urq6urq6urq6urq6urq6urq6urq6s='
OTHER_KEY = 'AQBAXnNqAAAAABAAq6urq6urq6urq6urq6urqw=='

# Whose files and processes may do what.
ROOT_ONLY = 0o600
UNPRIVILEGED = 12345


@dataclasses.dataclass(frozen=True)
class Variant:
    """A row.

    :ivar name: of the test
    :ivar what: the same for people
    :ivar code: what the engine has to report, '' if it can read; one of
        several where releases of Ceph differ
    :ivar conf: text of the ceph.conf, None for none, b'' as it is
    :ivar keyring: text of the keyring, None for none
    :ivar words: a regular expression for the message
    :ivar topics: those of check, of which one has to tell the problem
    :ivar conf_mode: mode of the ceph.conf, of root
    :ivar keyring_mode: mode of the keyring, of root
    :ivar user: the process is of this user, None for root
    :ivar prepare: name of a method of the test, for what is not in a file
    """

    name: str
    what: str
    code: str | tuple[str, ...] = ''
    conf: str | bytes | None = NAMED
    keyring: str | None = KEYRING
    words: str = ''
    topics: tuple[str, ...] = ()
    conf_mode: int = 0o644
    keyring_mode: int = 0o644
    user: int | None = None
    prepare: str = ''

    @property
    def codes(self) -> tuple[str, ...]:
        return (self.code,) if isinstance(self.code, str) else self.code


def mon_host(text: str) -> str:
    """A minimal ceph.conf with other monitors."""
    return NAMED.replace('[v2:{v2}/0,v1:{v1}/0]', text)


CONF = ('ceph.conf', 'cluster')
KEY = ('keyring', 'cluster')

VARIANTS = [
    # What works.
    Variant('minimal', 'As "ceph config generate-minimal-conf" makes it'),
    Variant('v1', 'Protocol v1 only', conf=mon_host('v1:{v1}')),
    Variant('v2', 'Protocol v2 only', conf=mon_host('v2:{v2}')),
    Variant('v1_bare', 'An address without a protocol',
            conf=mon_host('{v1}')),
    Variant('some_monitors_dead', 'Three monitors, two of them dead',
            conf=mon_host('[v2:127.0.0.1:{dead}/0],[v2:{v2}/0,v1:{v1}/0],'
                          '[v2:[::1]:{dead}/0]')),
    Variant('mon_sections', 'A section [mon.a] in place of mon_host',
            conf='[global]\nkeyring = {keyring}\n[mon.a]\nhost = localhost\n'
                 'mon_addr = {v1}\n'),
    Variant('key_in_conf', 'The key in ceph.conf', keyring=None,
            conf=MINIMAL + '[client.nova]\n\tkey = {key}\n'),
    Variant('keyfile', 'A file with the bare key', keyring='{key}\n',
            conf=MINIMAL + '[client.nova]\n\tkeyfile = {keyring}\n'),
    Variant('client_section', 'The keyring in the section of the client',
            conf=MINIMAL + '[client.nova]\n\tkeyring = {keyring}\n'),
    Variant('keyring_of_many', 'A keyring of several clients',
            keyring='[client.other]\n\tkey = ' + OTHER_KEY + '\n' + KEYRING +
                    '\tcaps mon = "profile rbd"\n'),
    Variant('extra_options', 'What operators set: log file, admin socket, '
            'secure mode, limits of RBD',
            conf=NAMED + '[client]\n\tlog_file = {dir}/$name.$pid.log\n'
            '\tadmin_socket = {dir}/$name.$pid.$cctid.asok\n'
            '\tdebug_ms = 0/0\n\tms_client_mode = secure\n'
            '\trbd_cache = true\n\trbd_concurrent_management_ops = 20\n'
            '\trbd_qos_bps_limit = 1073741824\n'),
    Variant('spelling', 'Blanks and dashes in the names of options',
            conf=NAMED.replace('mon_host', 'mon host').replace(
                '\t', '   ').replace(' = ', '=')),
    Variant('comments', 'Comments of both kinds',
            conf='; one\n# another\n' + NAMED.replace(
                '/0]\n', '/0] ; the monitor\n') + '# the last\n'),
    Variant('utf8', 'A comment in UTF-8',
            conf='# f\u00fcr \u4e2d\n' + NAMED),
    Variant('not_root', 'A process that is not root', user=UNPRIVILEGED),

    # The ceph.conf.
    Variant('no_conf', 'No ceph.conf', 'no_conf', conf=None, topics=CONF),
    Variant('conf_of_root', 'ceph.conf for root alone, a process that is not '
            'root', 'conf_not_readable', conf_mode=ROOT_ONLY,
            user=UNPRIVILEGED, words='EACCES|ermission', topics=CONF),
    Variant('conf_is_no_conf', 'A ceph.conf that is none',
            'bad_conf', conf='<ceph>\n  <mon/>\n</ceph>\n', topics=CONF),
    Variant('no_newline', 'No newline at the end', ('bad_conf', ''),
            conf=NAMED.rstrip('\n'), topics=CONF),
    Variant('half_a_line', 'A line without a value',
            'bad_conf', conf=NAMED + 'keyring\n', topics=CONF),
    Variant('crlf', 'Lines that end with CR LF', ('bad_conf', ''),
            conf=NAMED.replace('\n', '\r\n'), topics=CONF),
    Variant('no_mon_host', 'No mon_host', 'no_monitors',
            conf='[global]\n\tfsid = {fsid}\n\tkeyring = {keyring}\n',
            words='mon_host|monitor', topics=CONF),
    Variant('empty', 'An empty ceph.conf', ('no_monitors', 'no_key'),
            conf='', topics=CONF),

    # The monitors.
    Variant('unknown_name', 'A monitor whose name does not resolve',
            'name_resolution', conf=mon_host('mon2.invalid'),
            words='mon2.invalid|mon_host', topics=CONF),
    Variant('one_unknown_name', 'One of two monitors has a name that does not '
            'resolve', ('name_resolution', ''),
            conf=mon_host('{v1},mon2.invalid'),
            words='mon2.invalid|mon_host', topics=CONF),
    Variant('dead', 'All monitors are dead', 'connect',
            conf=mon_host('[v2:127.0.0.1:{dead}/0],[v2:[::1]:{dead}/0]'),
            topics=CONF),
    Variant('wrong_protocol', 'The address of one protocol for the other',
            'connect', conf=mon_host('v1:{v2}'), topics=CONF),

    # The key.
    Variant('no_keyring', 'No keyring', 'no_key', keyring=None,
            words='key', topics=KEY),
    Variant('no_keyring_named', 'A minimal ceph.conf, and no keyring at the '
            'usual places', 'no_key', conf=MINIMAL, keyring=None,
            words='key', topics=KEY),
    Variant('section_not_recognised', 'Blanks in the brackets of the section '
            'that names the keyring', 'no_key',
            conf=MINIMAL + '[ client.nova ]\n\tkeyring = {keyring}\n',
            words='key', topics=KEY),
    Variant('other_client', 'A keyring without the client', 'no_key',
            keyring='[client.other]\n\tkey = {key}\n', words='client.nova',
            topics=KEY),
    Variant('keyring_of_root', 'A keyring for root alone, a process that is '
            'not root', 'keyring_not_readable', keyring_mode=ROOT_ONLY,
            user=UNPRIVILEGED, words='EACCES|ermission', topics=KEY),
    Variant('empty_keyring', 'An empty keyring', ('no_key', 'bad_keyring'),
            keyring='', topics=KEY),
    Variant('keyring_is_a_key', 'The bare key where a keyring is to be',
            ('no_key', 'bad_keyring'), keyring='{key}\n', topics=KEY),
    Variant('cut_key', 'A key that lacks its end', 'bad_keyring',
            keyring='[client.nova]\n\tkey = AQBAXnNqAAAAABAA\n',
            words='key', topics=KEY),
    Variant('newer_key', 'A key of a kind that librados does not know',
            'bad_keyring', keyring='[client.nova]\n\tkey = %s\n' % NEWER_KEY,
            words='key', topics=KEY),
    Variant('wrong_key', 'Another key', 'key_rejected',
            keyring='[client.nova]\n\tkey = %s\n' % OTHER_KEY, words='key',
            topics=KEY),

    # The cluster.
    Variant('blocklisted', 'The cluster has fenced the node', 'blocklisted',
            words='block|fence', topics=('cluster', 'pools'),
            prepare='blocklist'),
]
