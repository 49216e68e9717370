// Postfix: what of its source can be run through a proxy is its test client and its test server (postfix-pairs.ts says in which settings).
//
// Its test scripts (src/smtpd/*.in with *.ref) are fed to functions by programs of their own and never to a socket. Exim's tests are
// not in its release, and so not in Debian's source package.

import { join } from 'node:path';
import { findTool, MissingTool } from '../../bench/harness/tools.ts';
import type { Suite } from './suite.ts';

/** Null where Postfix is not at hand. */
export function postfixPairs(): Suite | null {
  try {
    findTool('smtp-source');
  } catch (error) {
    if (error instanceof MissingTool) return null;
    throw error;
  }
  return {
    name: 'Postfix, smtp-source and smtp-sink',
    program: process.execPath,
    args: [join(import.meta.dirname, 'postfix-pairs.ts')],
    env: {},
    outcome: /^(?<name>.*?): (?<how>exit .*)$/gm,
    good: 'exit 0',
  };
}
