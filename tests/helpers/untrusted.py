"""Python that answers might hold, honest and hostile, for the tests of the sandbox.

A case is `# === name`, its code, and for honest ones the tests after `# ---`. In hostile code `@EVIL` stands
for a class whose objects equal everything, and `@RIGHT` for what the tests ask for.
"""

import re

_HONEST = r"""
# === a function
def f(x): return x * x
# ---
@SQUARE
# === test functions
def f(x): return x * x
# ---
def test_two():
    assert f(2) == 4
def test_three():
    assert f(3) == 9
# === a helper and a loop
def f(x): return x * x
# ---
def g(n): return n ** 2
for n in range(5):
    assert f(n) == g(n)
# === values of every kind
def f(x): return x
# ---
import datetime, decimal, fractions
for v in (None, True, 0, -1, 2**200, 1.5, float('inf'), 1j, '', 'é漢\0', b'\xff', [1, [2]], (1, (2,)),
          {1: {'a': (3,)}}, {1, 2}, frozenset({3}), range(3), ..., datetime.date(2031, 1, 2),
          datetime.datetime(2031, 1, 2, 3, 4), datetime.timedelta(1, 2), decimal.Decimal('1.10'),
          fractions.Fraction(1, 3), bytearray(b'x')):
    assert f(v) == v and type(f(v)) is type(v)
# === containers of the library
from collections import Counter, OrderedDict, defaultdict, namedtuple
P = namedtuple('P', 'x y')
def f(s): return Counter(s)
def g(): return P(1, 2)
# ---
assert f('aab') == {'a': 2, 'b': 1}
assert g() == (1, 2)
# === a class
class Stack:
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x)
    def pop(self): return self.items.pop()
    def __len__(self): return len(self.items)
    def __contains__(self, x): return x in self.items
    def __iter__(self): return iter(self.items)
    def __getitem__(self, i): return self.items[i]
    @property
    def top(self): return self.items[-1]
    @classmethod
    def of(cls, *xs):
        made = cls()
        made.items = list(xs)
        return made
# ---
s = Stack()
s.push(1)
s.push(2)
assert len(s) == 2 and s.top == 2 and 1 in s and s[0] == 1
assert list(s) == [1, 2] and isinstance(s, Stack)
assert s.pop() == 2
assert Stack.of(3, 4).items == [3, 4]
s.items = [7]
assert s.pop() == 7
# === operators of a class that the tests name
from dataclasses import dataclass
@dataclass(frozen=True, order=True)
class V:
    x: int
    y: int
    def __add__(self, o): return V(self.x + o.x, self.y + o.y)
    def __mul__(self, k): return V(self.x * k, self.y * k)
    __rmul__ = __mul__
    def __abs__(self): return 5
# ---
assert V(1, 2) + V(3, 4) == V(4, 6)
assert 2 * V(1, 2) == V(2, 4) != V(0, 0)
assert V(1, 2) < V(2, 0)
assert abs(V(3, 4)) == 5 and len({V(1, 1), V(1, 1)}) == 1 and repr(V(1, 2)) == 'V(x=1, y=2)'
# === exceptions
class Empty(ValueError): pass
def f(x):
    if x: raise Empty('none left')
    raise KeyError('k')
# ---
try:
    f(1)
except Empty as e:
    found = str(e)
assert found == 'none left'
def test_base():
    try:
        f(1)
    except ValueError:
        return
    assert False
def test_key():
    try:
        f(0)
    except KeyError:
        return
    assert False
# === a generator
def f(n):
    for i in range(n): yield i
# ---
assert list(f(3)) == [0, 1, 2]
g = f(2)
assert next(g) == 0 and next(g) == 1 and next(g, 'end') == 'end'
# === an endless generator, used a little
import itertools
def f(): return itertools.count()
# ---
import itertools
assert list(itertools.islice(f(), 3)) == [0, 1, 2]
# === functions given to it
def f(g, xs): return [g(x) for x in xs]
def compose(a, b): return lambda x: a(b(x))
# ---
assert f(lambda x: x + 1, [1, 2]) == [2, 3]
assert compose(str, abs)(-3) == '3'
def bad(x): raise ValueError(x)
try:
    f(bad, [1])
except ValueError:
    caught = True
assert caught
# === keyword arguments and defaults
def f(a, *, b=2): return a * b
# ---
assert f(3) == 6
assert f(3, b=3) == 9
# === a decorator of the library
import functools
@functools.lru_cache(None)
def f(n): return n if n < 2 else f(n - 1) + f(n - 2)
# ---
assert f(90) == 2880067194370816120
# === a context manager
import contextlib
@contextlib.contextmanager
def f(): yield 5
# ---
with f() as x:
    assert x == 5
# === threads
import threading
def f(x):
    out = []
    ts = [threading.Thread(target=out.append, args=(x,)) for _ in range(x)]
    [t.start() for t in ts]; [t.join() for t in ts]
    return sum(out)
# ---
@SQUARE
# === an event loop
import asyncio
async def g(x):
    await asyncio.sleep(0)
    return x * x
def f(x): return asyncio.run(g(x))
# ---
@SQUARE
# === a file in its own folder
import tempfile, pathlib
def f(x):
    with tempfile.TemporaryDirectory() as d:
        p = pathlib.Path(d, 'n'); p.write_text(str(x * x)); return int(p.read_text())
# ---
@SQUARE
# === half of the library
import re, json, csv, sqlite3, heapq, bisect, random, statistics, hashlib, textwrap, zoneinfo
import unittest, typing
import xml.etree.ElementTree, urllib.parse, html, logging, argparse, pprint, uuid, secrets, string, operator
def f(x): return x * x
# ---
@SQUARE
# === a demonstration that prints
print('hi' * 10)
def f(x): return x * x
if __name__ == '__main__':
    raise SystemExit(1)
# ---
@SQUARE
"""

_HOSTILE = r"""
# === exits well
import sys; sys.exit(0)
# === exits well at once
import os; os._exit(0)
# === exits well when called
def f(x):
    import os; os._exit(0)
# === raises SystemExit when called
def f(x): raise SystemExit(0)
# === exits in a finaliser
import atexit, sys
atexit.register(lambda: None)
sys.exit(0)
# === prints that it passed
print('2 passed'); print('{"held": 2, "of": 2}')
def f(x): return 0
# === writes that it passed everywhere
import os, json
r = json.dumps({'held': 2, 'of': 2, 'first': '', 'files': 'landlock'}).encode()
for fd in range(64):
    try: os.write(fd, r)
    except OSError: pass
def f(x): return 0
# === forges frames
import os, json
b = json.dumps({'ok': ['int', '0x4']}).encode()
b = len(b).to_bytes(4, 'big') + b
for fd in range(3, 64):
    try: os.write(fd, b * 3)
    except OSError: pass
def f(x): return 0
# === patches assertions
import builtins
builtins.AssertionError = type('A', (BaseException,), {})
def f(x): return 0
# === patches every comparison
import builtins, operator
builtins.isinstance = lambda *a: True
operator.eq = lambda *a: True
def f(x): return 0
# === patches its own agent
import sys
for m in list(sys.modules.values()):
    for n in ('pack', 'unpack'):
        if hasattr(m, n) and 'aaa' in getattr(m, '__name__', ''): setattr(m, n, lambda v, k: ['int', '0x0'])
def f(x): return 0
# === equals everything
@EVIL
def f(x): return E()
# === equals everything, nested
@EVIL
def f(x): return [E()]
# === equals everything, as a subclass
class I(int):
    def __eq__(s, o): return True
    def __hash__(s): return 0
def f(x): return I(0)
# === lies about its class
@EVIL
L = type('L', (E,), {'__class__': property(lambda s: int)})
def f(x): return L()
# === a class in a function's place, equal to everything
@EVIL
class f(E):
    def __init__(s, x): pass
# === an instance in a function's place
@EVIL
class C(E):
    def __call__(s, x): return s
    def __getattr__(s, n): return s
f = C()
# === a module of modules
import sys, types
class M(types.ModuleType):
    def __getattr__(s, n): return s
    def __eq__(s, o): return True
    def __hash__(s): return 0
sys.modules[__name__].__class__ = M
def f(x): return sys.modules[__name__]
# === packs itself as what it is not
@EVIL
import gc
for o in gc.get_objects():
    if type(o) is dict and str in o and type(o.get(str)) is tuple:
        o[E] = ('float', lambda v, k: 'nan')
def f(x): return E()
# === numbers its objects as the tests' own
@EVIL
import gc
for o in gc.get_objects():
    if type(o).__name__ == '_Agent':
        type(o)._keep = lambda s, v: {'at': 1, 'of': [1, 2, 3, 4, 5]}
def f(x): return E()
# === redefines what tests use
def f(x): return 0
abs = len = print = sum = int = lambda *a: 4
True_ = 1
# === looks for the tests
import gc, sys, inspect
def f(x):
    for o in gc.get_objects():
        if isinstance(o, str) and 'assert f(' in o: return x * x
    for fr in inspect.stack():
        if 'assert' in str(fr.frame.f_locals): return x * x
    return 0
# === loops for ever
def f(x):
    while True: pass
# === loops for ever at once
while True: pass
# === loops and ignores the signal
import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while True: pass
# === loops and catches everything
while True:
    try:
        while True: pass
    except BaseException: pass
# === sleeps for ever
import time
def f(x): time.sleep(10 ** 9)
# === reads input
def f(x): return int(input())
# === takes all memory
def f(x):
    a = []
    while True: a.append(bytearray(10 ** 7))
# === takes all memory at once
x = 'a' * 10 ** 12
@RIGHT
# === a huge power
def f(x): return 9 ** 9 ** 9
# === returns too much
def f(x): return 'a' * 10 ** 8
# === returns itself
def f(x):
    a = []
    a.append(a)
    return a
# === returns depth
def f(x):
    a = []
    for _ in range(10 ** 5): a = [a]
    return a
# === recurses for ever
def f(x): return f(x)
# === overflows the C stack
import sys
sys.setrecursionlimit(10 ** 9)
def f(x): return f(x)
# === crashes
import ctypes
def f(x): ctypes.string_at(0)
# === a fork bomb
import os
while True: os.fork()
# === a fork bomb in C
import ctypes
libc = ctypes.CDLL(None)
assert libc.fork() >= 0
@RIGHT
# === a thread bomb
import threading, time
while True: threading.Thread(target=time.sleep, args=(9 ** 9,)).start()
# === starts a program
import subprocess
subprocess.run(['true'], check=True)
@RIGHT
# === starts a shell
import os
assert os.system('true') == 0
@RIGHT
# === becomes a program
import os
os.execv('/bin/true', ['true'])
# === multiprocessing
import multiprocessing as m
with m.get_context('fork').Pool(2) as p: p.map(abs, [1])
@RIGHT
# === floods its output
import sys
while True: sys.stdout.write('x' * 10 ** 6); sys.stderr.write('y' * 10 ** 6)
# === floods the channel
import os
while True:
    for fd in range(3, 9):
        try: os.write(fd, b'x' * 65536)
        except OSError: pass
# === floods the channel with calls back
import os, json
b = json.dumps({'back': 0, 'args': ['tuple', []]}).encode()
b = len(b).to_bytes(4, 'big') + b
def f(x):
    while True:
        for fd in range(3, 9):
            try: os.write(fd, b)
            except OSError: pass
# === closes everything
import os
os.closerange(0, 256)
@RIGHT
# === opens a connection
import socket
socket.create_connection(('127.0.0.1', 80), 1)
@RIGHT
# === opens a socket
import socket
socket.socket()
@RIGHT
# === looks up a name
import socket
socket.getaddrinfo('example.org', 80)
@RIGHT
# === fetches a page
import urllib.request
urllib.request.urlopen('http://127.0.0.1/')
@RIGHT
# === binds a port
import socket
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
@RIGHT
# === reads a system file
open('/etc/passwd').read()
@RIGHT
# === reads by a link
import os
os.symlink('/etc/passwd', 'p'); open('p').read()
@RIGHT
# === reads by a path back
open('../../../../../../etc/hostname').read()
@RIGHT
# === reads our environment
import os
open(f'/proc/{os.getppid()}/environ').read()
@RIGHT
# === reads its own memory
open('/proc/self/mem', 'rb').read(1)
@RIGHT
# === lists the root
import os
assert os.listdir('/')
@RIGHT
# === writes beside its folder
open('../aaa-evil', 'w').write('x')
@RIGHT
# === removes a file
import os
os.remove('/etc/hostname')
@RIGHT
# === changes a mode
import os
os.chmod('/tmp', 0o777)
@RIGHT
# === writes a large file
open('big', 'wb').write(b'x' * 10 ** 8)
@RIGHT
# === kills its parent
import os
os.kill(os.getppid(), 9)
@RIGHT
# === kills everybody
import os
os.kill(-1, 9)
@RIGHT
# === leaves its group
import os
os.setsid()
@RIGHT
# === raises its limits
import resource as r
r.setrlimit(r.RLIMIT_CPU, (9, 9))
@RIGHT
# === becomes somebody
import os
os.setuid(1)
@RIGHT
# === new namespaces
import ctypes
assert ctypes.CDLL(None).unshare(0x10000000) == 0
@RIGHT
# === traces
import ctypes, os
assert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0
@RIGHT
# === sends signals through a descriptor
import fcntl, os
r, w = os.pipe()
fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())
@RIGHT
# === no code

# === no Python
def f(x) return
# === a NUL
def f(x): return '@NUL'
# === an exception that cannot be printed
class X(Exception):
    def __str__(s): raise s
    __repr__ = __str__
def f(x): raise X
# === an exception of endless text
def f(x): raise ValueError('x' * 10 ** 7)
# === an answer that never ends
def f(x):
    while True: yield 1
# === imports what is not there
import numpy
@RIGHT
# === imports ours
import aaa.settings
@RIGHT
# === imports our packages
import pydantic
@RIGHT
# === wants a key
import os
assert [k for k in os.environ if 'KEY' in k or 'TOKEN' in k]
@RIGHT
"""

RIGHT = "def f(x): return x * x"
SQUARE = "assert f(2) == 4\nassert f(3) == 9"
"""Tests of `RIGHT`, and of all hostile code."""
_EVIL = """class E:
    def __eq__(s, o): return True
    def __ne__(s, o): return False
    def __hash__(s): return 0
"""


def _cases(text: str) -> dict[str, str]:
    parts = re.split(r"^# === (.+)\n", text, flags=re.MULTILINE)[1:]
    named = dict(zip(parts[::2], parts[1::2], strict=True))
    put = {"@EVIL": _EVIL, "@RIGHT": RIGHT, "@SQUARE": SQUARE, "@NUL": "\0"}
    return {name: re.sub("|".join(put), lambda m: put[m[0]], code) for name, code in named.items()}


def _with_tests(case: str) -> tuple[str, str]:
    code, tests = case.split("# ---\n")
    return code, tests


HONEST = {name: _with_tests(case) for name, case in _cases(_HONEST).items()}
"""Name -> (code, tests that hold for it)."""
HOSTILE = _cases(_HOSTILE)
"""Name -> code for which `SQUARE` must not hold."""
