# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

TOOLS = pathlib.Path(__file__).resolve().parents[2]


class BootstrapTest(unittest.TestCase):
    """Of the functions of bootstrap.sh, in an empty checkout."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = os.path.realpath(folder.name)
        self.copy = f'{self.dir}/tools/lib/environment/bootstrap.sh'
        os.makedirs(os.path.dirname(self.copy))
        os.makedirs(f'{self.dir}/build/logs')
        shutil.copy(TOOLS / 'lib' / 'environment' / 'bootstrap.sh',
                    self.copy)

    def bash(self, script, status=0):
        """Run commands after the file was read; returns what they print."""
        run = subprocess.run(
            ['bash', '-c', f'. {self.copy}\n{script}', 'demo'],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={'PATH': os.environ['PATH'], 'PYTHONPATH': '/x',
                 'no_proxy': 'mirror'})
        self.assertEqual(status, run.returncode, run.stdout)
        return run.stdout

    def test_checkout_is_found(self):
        self.assertEqual(f'{self.dir}\n', self.bash('echo $CHECKOUT'))

    def test_environment(self):
        self.assertEqual(
            '-/root-127.0.0.1,localhost,mirror\n',
            self.bash('clean_environment; '
                      'echo "$PYTHONPATH-$HOME-$no_proxy"'))

    def test_pip_does_not_compile(self):
        with zipfile.ZipFile(f'{self.dir}/a-1-py3-none-any.whl', 'w') as f:
            f.writestr('a.py', '')
            f.writestr('a-1.dist-info/METADATA',
                       'Metadata-Version: 2.1\nName: a\nVersion: 1\n')
            f.writestr('a-1.dist-info/WHEEL', 'Wheel-Version: 1.0\n'
                       'Root-Is-Purelib: true\nTag: py3-none-any\n')
            f.writestr('a-1.dist-info/RECORD', 'a.py,,\n')
        self.bash(f'clean_environment; {sys.executable} -m pip install -q '
                  f'--no-index --target {self.dir}/to {self.dir}/a-1*.whl')
        self.assertEqual(['a.py'], [name for name in os.listdir(
            f'{self.dir}/to') if '.' not in name or name.endswith('.py')])

    def test_not_root(self):
        self.assertEqual(
            'tools/demo: this installs packages and starts Ceph: run it as '
            'root\n', self.bash('id() { echo 1000; }; bootstrap', 1))

    def test_stamp(self):
        script = ('cd $CHECKOUT; echo {} >a; stamp_of {} a')
        stamps = {self.bash(script.format(*words)) for words in (
            ('text', '/here'), ('text', '/there'), ('other', '/here'))}
        self.assertEqual(3, len(stamps))
        self.assertIn(self.bash(script.format('text', '/here')), stamps)

    def test_up_to_date(self):
        venv = f'{self.dir}/venv'
        self.bash(f'up_to_date {venv} stamp', 1)
        os.makedirs(f'{venv}/bin')
        self.assertIn(
            f'{venv} was not made by this program: move it away',
            self.bash(f'up_to_date {venv} stamp; echo not reached', 1))
        for text in ('', 'other'):
            with open(f'{venv}/.stamp', 'w') as f:
                f.write(text)
            self.bash(f'up_to_date {venv} stamp', 1)
        self.bash(f'echo stamp >{venv}/.stamp; up_to_date {venv} stamp', 1)
        self.bash(f': >{venv}/bin/python; chmod +x {venv}/bin/python; '
                  f'up_to_date {venv} stamp')

    def test_interrupted_environment_is_made_anew(self):
        # A program takes the place of what the interpreter would do.
        venv = f'{self.dir}/venv'
        fill = (f'PYTHON=true; fill() {{ mkdir {venv}/bin && '
                f'ln -s /bin/true {venv}/bin/python && $1; }}\n'
                f'make_venv {venv} stamp fill ')
        self.bash(fill + 'false', 1)
        self.assertTrue(os.path.exists(f'{venv}/bin/python'))
        self.bash(f'up_to_date {venv} stamp', 1)
        self.bash(fill + 'true')
        self.bash(f'up_to_date {venv} stamp')

    def test_upstream_is_made_once(self):
        os.makedirs(f'{self.dir}/patches')
        for name in ('constraints.txt', 'patches/upstream.ini'):
            with open(f'{self.dir}/{name}', 'w') as f:
                f.write(name)
        # A program takes the place of what pip would do.
        script = ('PYTHON=true; fill_upstream() { mkdir $UPSTREAM_VENV/bin && '
                  'ln -s /bin/true $UPSTREAM_VENV/bin/python; }\n'
                  'bootstrap_upstream')
        self.assertIn("Upstream's Nova", self.bash(script))
        self.assertEqual('', self.bash(script))
        with open(f'{self.dir}/constraints.txt', 'w') as f:
            f.write('other')
        self.assertIn("Upstream's Nova", self.bash(script))

    def test_upstream_fails(self):
        os.makedirs(f'{self.dir}/patches')
        out = self.bash('PYTHON=true; fill_upstream() { false; }; '
                        'bootstrap_upstream', 1)
        self.assertIn("pip could not install upstream's Nova", out)

    def test_step(self):
        out = self.bash('step Work sh -c "echo done" && cat $SETUP_LOG')
        self.assertEqual('Work ...\nWork: 0 s\ndone\n', out)

    def test_step_fails(self):
        out = self.bash('step Work sh -c "echo no network; exit 3"', 1)
        self.assertIn('Work: failed\n    no network\n', out)

    def test_second_run_waits(self):
        out = self.bash('lock; (exec {LOCK}>&-; '
                        'PROGRAM=second; lock; echo second) & '
                        'sleep 0.5; echo first; unlock; wait')
        self.assertEqual('Waiting for another run to finish its set-up.\n'
                         'first\nsecond\n', out)
