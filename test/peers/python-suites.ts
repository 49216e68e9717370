// Python's test_smtplib, and the tests of aiosmtpd with pytest, as Debian has them. sitecustomize.py sends clients through Postern.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fromDebian, type Suite } from './suite.ts';

const PYTHON = '/usr/bin/python3';
const AIOSMTPD = '/usr/lib/python3/dist-packages/aiosmtpd/tests';
const PYTEST = 'pytest iniconfig pluggy packaging attr pytest-mock py'.split(' ').map((name) => `python3-${name}`);

const envWith = (...path: readonly string[]): NodeJS.ProcessEnv => ({
  PYTHONPATH: [join(import.meta.dirname, 'python'), ...path].join(':'),
  PYTHONWARNINGS: 'ignore',
  PYTHONDONTWRITEBYTECODE: '1',
});

export function smtplib(): Suite {
  const ask = ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'];
  const python = execFileSync(PYTHON, ask, { encoding: 'utf8' }).trim();
  const testsuite = fromDebian('testsuite', [`libpython${python}-testsuite`]);
  const tests = join(testsuite, `usr/lib/python${python}/test`);
  // Python's own library first: the suite brings only `test`.
  const program =
    `import sys, test; test.__path__.append(${JSON.stringify(tests)}); ` +
    "sys.argv = ['unittest', '-v', 'test.test_smtplib']; import unittest; unittest.main(module=None)";
  return {
    name: `Python ${python}, test_smtplib`,
    program: PYTHON,
    args: ['-c', program],
    env: envWith(),
    outcome:
      /^test\w* \((?<name>\S+?)\)(?:\n[^\n]*?)?? \.\.\. .*?\b(?<how>ok|FAIL|ERROR|skipped|expected failure)\b/gms,
    good: 'ok',
  };
}

/** Null where python3-aiosmtpd is not installed. */
export function aiosmtpd(): Suite | null {
  if (!existsSync(AIOSMTPD)) return null;
  const files = ['smtp', 'starttls', 'lmtp', 'handlers'].map((name) => join(AIOSMTPD, `test_${name}.py`));
  return {
    name: 'aiosmtpd',
    program: PYTHON,
    args: ['-m', 'pytest', '-v', '-p', 'no:cacheprovider', ...files],
    env: envWith(join(fromDebian('pytest', PYTEST), 'usr/lib/python3/dist-packages')),
    outcome: /^\S*?\/(?<name>test_\w+\.py::.*?) (?<how>PASSED|FAILED|ERROR|SKIPPED|XFAIL)\s+\[/gm,
    good: 'PASSED',
  };
}
