// Starts the firewall of a script once, with the configuration that is shipped, and writes the code that V8 has made of it: of the functions that a start runs.
//
//   node --max-semi-space-size=4 --hash-seed=1 --random-seed=1 build/compile-ahead.cjs SCRIPT CODE [FILENAME]
//
// FILENAME is as which it will run, since V8 knows it by that. The same octets each time: V8's seeds are given, no code is thrown away
// when memory is collected, or made better of what ran often, and no timer fires, so that what runs is what a start runs and not
// what a slow machine came to. V8 takes code only under the options that it was made under, so those of here are taken back first.
const { readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { setFlagsFromString } = require('node:v8');
const { Script } = require('node:vm');

const THE_SAME = ['flush-bytecode', 'sparkplug', 'maglev', 'opt'];
for (const option of THE_SAME) setFlagsFromString(`--no-${option}`);
const never = { ref: () => never, unref: () => never, hasRef: () => false, refresh: () => never };
global.setTimeout = () => never;
global.setInterval = () => never;

const [, , file, code, filename = 'postern'] = process.argv;
const script = new Script(readFileSync(file, 'latin1'), { filename });
const config = join(__dirname, '../policies/postern.yaml');
const args = ['--config', config, '--listen', '127.0.0.1:0', '--upstream', '192.0.2.1:25', '--admin', '127.0.0.1:0'];
process.argv.splice(1, process.argv.length, process.execPath, 'run', ...args);
process.stderr.write = (text) => {
  if (!String(text).includes('listening on')) return true;
  for (const option of [...THE_SAME, 'hash-seed=0', 'random-seed=0']) setFlagsFromString(`--${option}`);
  writeFileSync(code, script.createCachedData());
  process.reallyExit(0);
};
script.runInThisContext()(require, module, exports, __dirname);
module.exports.main?.(process.argv.slice(2), (status) => process.exit(status)); // a script that is no entry exports it
