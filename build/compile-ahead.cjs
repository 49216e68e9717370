// Starts the firewall of a script once, and writes the code that V8 has made of it: of the functions that a start runs.
//
//   node --max-semi-space-size=4 build/compile-ahead.cjs SCRIPT CODE [FILENAME]     as which it will run, since V8 knows it by that
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');

const [, , file, code, filename = 'postern'] = process.argv;
const script = new Script(readFileSync(file, 'latin1'), { filename });
process.argv.splice(
  1,
  process.argv.length,
  process.execPath,
  'run',
  '--listen',
  '127.0.0.1:0',
  '--upstream',
  '192.0.2.1:25',
);
process.argv.push('--accepted-domain', 'example.com', '--admin', '127.0.0.1:0');
const write = process.stderr.write.bind(process.stderr);
process.stderr.write = (text, ...rest) => {
  if (String(text).includes('listening on')) setImmediate(() => process.kill(process.pid, 'SIGTERM'));
  return write(text, ...rest);
};
process.on('exit', () => writeFileSync(code, script.createCachedData()));
script.runInThisContext()(require, module, exports, __dirname);
module.exports.main?.(process.argv.slice(2), (status) => process.exit(status)); // a script that is no entry exports it
